"""Links to pages and images, relative to the root."""

from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlencode

from aiohttp import web

from bridge.storage.index import ImageBatch, ImageLocation, IndexedImage
from bridge.web.dependencies import AppDependencies, deps_of


def session_link(session_id: str) -> str:
    """Return the page of a session, whose id needs no quoting."""
    return f"sessions/{session_id}"


def batch_link(session_id: str, epoch: int, batch: int) -> str:
    """Return the page of a batch."""
    return f"sessions/{session_id}/batches/{epoch}-{batch}"


def image_link(session_id: str, batch: ImageBatch, image: IndexedImage) -> str:
    """Return the address of an image, with a version: the same place may have held another image before."""
    path = batch_link(session_id, batch.epoch, batch.batch)
    return f"{path}/{image.position}.jpg?v={version_of(image.location)}"


def version_of(location: ImageLocation) -> str:
    """Return a short hash that differs for every image ever stored."""
    return sha256(f"{location.key}/{location.offset}/{location.length}".encode()).hexdigest()[:16]


def with_query(link: str, query: Mapping[str, str]) -> str:
    """Return a link with the parameters that are not empty."""
    encoded = urlencode({name: value for name, value in query.items() if value})
    return f"{link}?{encoded}" if encoded else link


def public_root(request: web.Request) -> str:
    """Return the start of an absolute URL of this bridge."""
    return public_url(deps_of(request)) or f"{request.scheme}://{request.host}"


def public_url(deps: AppDependencies) -> str:
    """Return the public URL without a trailing slash."""
    return deps.public_url.rstrip("/")
