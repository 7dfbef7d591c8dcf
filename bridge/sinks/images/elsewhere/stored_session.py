"""What the object store has of a session."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.storage.index import ImageIndex


@dataclass(frozen=True, slots=True)
class StoredSession:
    """The images of a session in the object store, as of the last time that it was listed."""

    index: ImageIndex
    labels: Mapping[int, str] = field(default_factory=dict)
    """The names of classes, by number, as far as images name them."""
    left_out: int = 0
    """Its oldest shards that are not indexed, since there are too many images."""
    problem: str = ""
    """Why newer shards may be missing; "": the store answers."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of its classes; "" for one that no image names."""
        last = max(self.labels, default=-1)
        return tuple(self.labels.get(number, "") for number in range(last + 1))
