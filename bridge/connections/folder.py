"""Try a folder as the bridge uses it."""

import os
import secrets
from pathlib import Path

from bridge.errors import StorageError
from bridge.storage.folder import way_out

RESERVE_BYTES = 64 << 20
RESERVE_PART = 20
"""Less free space than RESERVE_BYTES, or 1 / RESERVE_PART of a small disk, is a problem."""


def probe_folder(folder: Path, *, setting: str) -> None:
    """Write, sync and remove a small file; a folder that does not exist yet is tried where it will be created.

    Raises StorageError with the cause and what to change; `setting` is the one that names the folder.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir():
        raise StorageError(
            f"{existing} is not a folder: remove it, or set {setting} to another folder"
        )
    try:
        _write(existing / f".connection-check-{secrets.token_hex(4)}")
        disk = os.statvfs(existing)
    except OSError as error:
        raise StorageError(
            f"{existing} cannot be written to ({error.strerror}): {way_out(error)}, or set {setting} to another folder"
        ) from error
    free = disk.f_bavail * disk.f_frsize
    if free < min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_PART):
        raise StorageError(
            f"only {free >> 20} MiB are free in {existing}: make room on that disk, or set {setting} to"
            " a folder on a larger one"
        )


def _write(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"trainbridge")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        file.unlink()
