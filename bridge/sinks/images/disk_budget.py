"""How much room the spool has, and for which images."""

import os
from pathlib import Path

SAMPLED_RATIO = 0.90
"""From this part of the limit on only the first batch of each epoch is kept."""

ANY_RATIO = 0.95
"""From this part on nothing is kept."""

RESERVE_BYTES = 256 << 20
RESERVE_PART = 20
"""So much of the disk, or 1 / RESERVE_PART of it where that is less, is left to the database."""


class Room:
    """What the spool may take, which is less than its limit where the disk is nearly full."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Watch the disk that `folder` is on."""
        self.limit_bytes = max_bytes
        self._folder = folder
        self._max_bytes = max_bytes

    def look(self, used_bytes: int) -> None:
        """Find out how much room the disk has beside what the spool uses; nothing changes where it is gone."""
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return
        reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_PART)
        free = max(0, disk.f_bavail * disk.f_frsize - reserve)
        self.limit_bytes = min(self._max_bytes, used_bytes + free)

    def is_left(self, used_bytes: int, *, starts_epoch: bool) -> bool:
        """Tell whether a batch may be kept when so much is used, or about to be."""
        ratio = ANY_RATIO if starts_epoch else SAMPLED_RATIO
        return used_bytes < ratio * self.limit_bytes
