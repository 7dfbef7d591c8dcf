"""What one canary does."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CanaryOptions:
    """Where a canary sends and reads, how much, and how long things may take."""

    address: str = ""
    """Of the bridge's gRPC server, as the SDK takes it."""
    bridge_url: str = "http://127.0.0.1:8080"
    batches_per_second: float = 1.0
    images: int = 1
    """In each batch that has any; 0: in none."""
    run_batches: int = 600
    """Rounded to whole epochs."""
    late_seconds: float = 5.0
    look_seconds: float = 2.0
    store_seconds: float | None = None
    """How long the images of a run may take to lie in the object store; None: that is not looked at."""
    duration_seconds: float | None = None
    """None: without end."""
    token: str = field(default="", repr=False)
    """For both of its servers, with the roles ingest, view and metrics; "": that of the environment."""
    token_file: str = ""
    ca_file: str = ""
    """Who vouches for both of its servers, where they speak TLS; "": as the environment and the system say."""

    @property
    def overdue_seconds(self) -> float:
        """What does not appear within this time is missing."""
        return 3 * self.late_seconds
