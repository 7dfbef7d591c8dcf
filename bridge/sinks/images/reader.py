"""Read single images back, from the spool or the object store."""

from collections.abc import Callable
from pathlib import Path

from bridge.errors import NotFoundError, StorageError
from bridge.jpeg_file import END, START
from bridge.sinks.images.shards import file as shard_file
from bridge.storage.index import ImageLocation
from bridge.storage.objects import ObjectStore


class ImageReader:
    """Reads committed images; every method blocks, and may run in any thread."""

    def __init__(self, path_of: Callable[[str], Path], store: ObjectStore) -> None:
        """Look for shards in the files that `path_of` returns by key, and in `store`."""
        self._path_of = path_of
        self._store = store

    def read(self, location: ImageLocation) -> bytes:
        """Return the bytes of an image, while its shard grows as well as later.

        Raises NotFoundError where they are in neither place, StorageError when the store does not answer.
        """
        jpeg = None if location.stored else self._from_spool(location)
        # A shard may reach the store, and leave the spool, after its location was looked up.
        if jpeg is None:
            jpeg = self._store.read(location.key, location.offset, location.length)
        return checked(jpeg, location)

    def read_spooled(self, location: ImageLocation) -> bytes:
        """Return the bytes of an image that has not reached the store; raises NotFoundError, or StorageError."""
        jpeg = self._from_spool(location)
        if jpeg is None:
            raise NotFoundError(f"{location.key} is not in the spool")
        return checked(jpeg, location)

    def _from_spool(self, location: ImageLocation) -> bytes | None:
        try:
            jpeg = shard_file.image_at(
                self._path_of(location.key), location.offset, location.length
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {location.key}: {error.strerror}") from error
        if jpeg is None:
            raise NotFoundError(f"this image is damaged in {location.key}")
        return jpeg


def checked(jpeg: bytes, location: ImageLocation) -> bytes:
    """Return what was read of an image; raises NotFoundError where it is not the image of the index."""
    if len(jpeg) != location.length:
        raise NotFoundError(f"{location.key} is shorter than the index says")
    if not (jpeg.startswith(START) and jpeg.endswith(END)):
        raise NotFoundError(f"this image is damaged in {location.key}")
    return jpeg
