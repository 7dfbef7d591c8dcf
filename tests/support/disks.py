"""Disks of the tests' own: small ones that fill up, and one that turns read-only while it is in use."""

import errno
import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.tools import tool

PIECE_BYTES = 64 << 10
MOUNT = ("mount", "-o", "loop,errors=remount-ro")
"""What most system disks are mounted with."""


class Disk:
    """A small file system, mounted at `folder`."""

    def __init__(self, folder):
        """Take what is mounted there."""
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self):
        """Take all room there is."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for piece in (PIECE_BYTES, 512):
                with suppress(OSError):
                    while True:
                        ballast.write(bytes(piece))

    def free(self):
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


class FailingDisk(Disk):
    """A disk that the kernel finds broken, from the moment the test chooses."""

    def __init__(self, folder, image):
        """Take the file system in the file `image`."""
        super().__init__(folder)
        self._image = image

    def fail(self):
        """Have the kernel turn it read-only, files that are open for writing included."""
        device = self.folder.stat().st_dev
        name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a test")
        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            (self.folder / "probe").touch()

    @contextmanager
    def hanging(self):
        """Have every write wait until the block is left."""
        _run("fsfreeze", "--freeze", self.folder)
        try:
            yield
        finally:
            _run("fsfreeze", "--unfreeze", self.folder)

    def mend(self):
        """Repair and mount it again, as after a restart of the machine; nobody may use it meanwhile."""
        _run("umount", self.folder)
        # 1: faults were found and corrected
        assert (
            subprocess.run(
                [tool("e2fsck"), "-f", "-y", self._image], check=False, capture_output=True
            ).returncode
            <= 1
        )
        _run(*MOUNT, self._image, self.folder)


@contextmanager
def small_disk(folder, *, size_bytes):
    """Mount a file system in memory of that size at `folder`; a test that may not is skipped."""
    folder.mkdir()
    _allowed("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder)
    try:
        yield Disk(folder)
    finally:
        _run("umount", "--lazy", folder)


@contextmanager
def failing_disk(folder, *, size_bytes):
    """Mount a disk at `folder` that can be made to fail; a test that may not is skipped."""
    folder.mkdir()
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(size_bytes)
    _run(tool("mkfs.ext4"), "-q", image)
    disk = FailingDisk(folder, image)
    _allowed(*MOUNT, image, folder)
    try:
        yield disk
    finally:
        _run("umount", "--lazy", folder)


def _allowed(*command):
    """Run a command that only root may; skip the test where that is not us."""
    try:
        _run(*command)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{command[0]}: {error.stderr.decode().strip()}")


def _run(*command):
    return subprocess.run(command, check=True, capture_output=True)
