"""How many bytes the spool may take, and for which images."""

import os
from pathlib import Path

SAMPLED_RATIO = 0.90
"""Above this part of the limit only the first batch of each epoch is kept."""

ANY_RATIO = 0.95
"""Above this part nothing is kept."""

RESERVE_BYTES = 256 << 20
RESERVE_PART = 20
"""The database keeps RESERVE_BYTES of the disk, or 1 / RESERVE_PART of it where that is less."""


class DiskBudget:
    """What the spool may take, which is less than its limit where the disk is nearly full."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Watch the disk that `folder` is on."""
        self.limit_bytes = max_bytes
        self._folder = folder
        self._max_bytes = max_bytes

    def refresh(self, used_bytes: int) -> None:
        """Set the limit by what the disk has free beside what the spool uses; a disk that is gone changes nothing."""
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return
        reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_PART)
        free = max(0, disk.f_bavail * disk.f_frsize - reserve)
        self.limit_bytes = min(self._max_bytes, used_bytes + free)

    def has_capacity(self, used_bytes: int, *, starts_epoch: bool) -> bool:
        """Return whether a batch may be kept when this much is used, or about to be."""
        ratio = ANY_RATIO if starts_epoch else SAMPLED_RATIO
        return used_bytes < ratio * self.limit_bytes
