"""What an image is made of: its configuration, and every file in the layers that it adds to its base."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from image.store import Store


@dataclass(frozen=True)
class Added:
    """A file in a layer; one that takes a file of the base away has a name that begins with .wh."""

    name: str
    size: int
    mode: int
    content: bytes


@dataclass(frozen=True)
class Saved:
    """An image as it would be sent to a registry."""

    path: Path
    base_layers: int

    @property
    def config(self) -> dict:
        """The configuration: what to run, as whom, and how each layer came to be."""
        return json.loads(self._text(self._manifest()["config"]["digest"]))

    def texts(self) -> Iterator[str]:
        """Yield the documents about the image: index, manifest and configuration."""
        with tarfile.open(self.path) as archive:
            yield archive.extractfile("index.json").read().decode()
        yield json.dumps(self._manifest())
        yield json.dumps(self.config)

    def added(self) -> Iterator[Added]:
        """Yield what stands in the layers above the base."""
        for layer in self._manifest()["layers"][self.base_layers :]:
            with tarfile.open(self.path) as archive:
                blob = archive.extractfile(_blob(layer["digest"]))
                with tarfile.open(fileobj=blob, mode="r|*") as files:
                    for entry in files:
                        content = files.extractfile(entry).read() if entry.isreg() else b""
                        yield Added(entry.name.strip("/"), entry.size, entry.mode, content)

    def _manifest(self) -> dict:
        with tarfile.open(self.path) as archive:
            index = json.loads(archive.extractfile("index.json").read())
        return json.loads(self._text(index["manifests"][0]["digest"]))

    def _text(self, digest: str) -> str:
        with tarfile.open(self.path) as archive:
            return archive.extractfile(_blob(digest)).read().decode()


def saved(store: Store, image: str, base: str, path: Path) -> Saved:
    """Save an image in OCI's form, which holds everything that leaves with it."""
    store.podman("save", "--quiet", "--format", "oci-archive", "--output", str(path), image)
    return Saved(path, len(store.inspect("image", base)["RootFS"]["Layers"]))


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
