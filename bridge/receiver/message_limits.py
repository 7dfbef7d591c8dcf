"""What one message or registration may hold."""

from dataclasses import dataclass

from bridge.protocol import FRAME_BYTES


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What one message may hold."""

    images_per_batch: int = 16
    image_dimension: int = 4096
    """Pixels a side."""
    requests_per_frame: int = 4_096
    values: int = 131_072
    """Values in one message or frame, of whatever field: predictions, classes, names, requests ..."""
    uncounted_bytes: int = FRAME_BYTES
    """A frame no larger than this may hold more values, if none of its requests can: clients that catch up send such."""
    scalars: int = 1_000
    """Values in one ScalarData."""
    text: int = 4_096
    """Characters of any text that is shown to people."""
    labels: int = 64
    """Labels of a session."""
    label: int = 256
    """Characters of the name of a label, and of its value."""
    class_names: int = 256 * 1024
    """Characters of all class names together."""
    config_keys: int = 100
    """Names in what a run was configured with."""
    config_characters: int = 256 * 1024
    """Characters of its JSON."""
