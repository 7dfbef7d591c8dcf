"""An object store in a local folder."""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.errors import NotFoundError, StorageError
from bridge.storage.folder import open_file, sync_folder
from bridge.storage.objects import StoredObject, checked_key

NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of a link to another file system, or on one without links."""


class LocalStore:
    """Keeps each object as one file; an object that was put survives a power loss."""

    def __init__(self, folder: Path) -> None:
        """Keep objects under `folder`, which is created with the first one."""
        self._folder = folder

    def put(self, key: str, file: Path, metadata: Mapping[str, str]) -> None:
        """Store a file; `metadata` is not kept, since shards carry all of it themselves.

        On the same file system nothing is copied: both names refer to the same bytes, which never change.
        """
        del metadata
        target = self._path(key)
        staged = target.with_name(f".{target.name}.partial")
        try:
            file.stat()
            _make_folder(target.parent)
            staged.unlink(missing_ok=True)
            _link_or_copy(file, staged)
            staged.replace(target)
            # Renaming one link of a file over another does nothing, and leaves both.
            staged.unlink(missing_ok=True)
            sync_folder(target.parent)
        except OSError as error:
            # Only if the file itself is missing: what was removed may be a folder of the store.
            if isinstance(error, FileNotFoundError) and not file.exists():
                raise
            raise StorageError(f"cannot store {key}: {error.strerror}") from error

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Return part of an object."""
        try:
            file = open_file(self._path(key), os.O_RDONLY)
            try:
                return os.pread(file, length, offset)
            finally:
                os.close(file)
        except FileNotFoundError as error:
            raise NotFoundError(f"no object {key}") from error
        except OSError as error:
            raise StorageError(f"cannot read {key}: {error.strerror}") from error

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects by key; only folders that may have some of them are read."""
        top = self._folder / prefix.rpartition("/")[0]

        def check(error: OSError) -> None:
            """Raise StorageError where it is the folder itself that cannot be read; others in it may be anybody's."""
            is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            if not is_missing and error.filename == str(top):
                raise StorageError(f"cannot list {top}: {error.strerror}") from error

        for folder, folders, names in os.walk(top, onerror=check):
            folders.sort()
            inside = Path(folder).relative_to(self._folder)
            for name in sorted(names):
                key = (inside / name).as_posix()
                if key.startswith(prefix) and not name.startswith("."):
                    try:
                        size_bytes = (Path(folder) / name).stat().st_size
                    except OSError:
                        continue  # removed meanwhile, or a link to nowhere
                    yield StoredObject(key, size_bytes)

    def delete(self, key: str) -> None:
        """Remove an object, and the folders that are empty without it."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
            for folder in path.parents[: key.count("/")]:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        except OSError as error:
            raise StorageError(f"cannot delete {key}: {error.strerror}") from error

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(key)


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        with file.open("rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, and sync the folder that holds each."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
