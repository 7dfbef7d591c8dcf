"""Links to pages and images, relative to the root."""

from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import quote, unquote, urlencode, urlsplit

from aiohttp import web

from bridge.storage.index import ImageBatch, ImageLocation, IndexedImage
from bridge.web.client_address import scheme_of
from bridge.web.dependencies import AppDependencies, deps_of

COMPARE = "compare"
"""The path of the page that shows sessions side by side, relative to the root."""

ALERTMANAGER = "api/v1/alertmanager"
"""Where Alertmanager posts alerts, relative to the root."""

ANNOTATIONS = "api/v1/annotations"
"""Where annotations of charts are, relative to the root."""

BRIDGES = "bridges"
"""The page of the bridges that share a database, relative to the root."""

OPENAPI = "api/openapi.json"
"""Where the description of the API is, relative to the root."""

LOGIN, LOGOUT = "login", "logout"
"""Where a browser gets a cookie for a token, and gives it back, relative to the root."""

OWN_NAMES = frozenset(
    {
        "api",
        BRIDGES,
        COMPARE,
        "go",
        "healthz",
        "internal",
        LOGIN,
        LOGOUT,
        "metrics",
        "readyz",
        "runs",
        "sessions",
        "static",
    }
)
"""What paths of the bridge begin with: below a public path of such a name, only a proxy that removes it leads to pages."""


def session_link(session_id: str) -> str:
    """Return the page of a session, whose id needs no quoting."""
    return f"sessions/{session_id}"


def commands_link(session_id: str) -> str:
    """Return where the API takes the commands of a session, and says what has become of them."""
    return f"api/v1/{session_link(session_id)}/commands"


def run_link(run_id: str) -> str:
    """Return the page of a run, whose id needs no quoting."""
    return f"runs/{run_id}"


def attempt_link(session_id: str, attempt: int | None) -> str:
    """Return the page of one attempt of a session; None: of all."""
    return session_link(session_id) + ("" if attempt is None else f"/attempts/{attempt}")


def batch_link(session_id: str, epoch: int, batch: int, attempt: int | None = None) -> str:
    """Return the page of a batch; without `attempt`, of the newest one that has it."""
    return f"{attempt_link(session_id, attempt)}/batches/{epoch}-{batch}"


def image_link(session_id: str, batch: ImageBatch, image: IndexedImage) -> str:
    """Return the address of an image, with a version by which it is found whatever later attempts put in its place."""
    attempt = batch.attempt if batch.attempt > 1 else None
    path = batch_link(session_id, batch.epoch, batch.batch, attempt)
    return f"{path}/{image.position}.jpg?v={version_of(image.location)}"


def version_of(location: ImageLocation) -> str:
    """Return a short hash that differs for every image ever stored."""
    return sha256(f"{location.key}/{location.offset}/{location.length}".encode()).hexdigest()[:16]


def with_query(link: str, query: Mapping[str, str]) -> str:
    """Return a link with the parameters that are not empty."""
    encoded = urlencode({name: value for name, value in query.items() if value})
    return f"{link}?{encoded}" if encoded else link


def root_path(deps: AppDependencies) -> str:
    """Return the path of the public URL, without a trailing slash; empty where pages begin at the root of a host."""
    path = quote(unquote(urlsplit(deps.public_url).path.rstrip("/")))
    return "" if path.lstrip("/").partition("/")[0] in OWN_NAMES else path


def local_path(request: web.Request) -> str:
    """Return the path of a request below the root, whether or not a proxy has removed the public path."""
    path, root = request.rel_url.raw_path, root_path(deps_of(request))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def public_root(request: web.Request) -> str:
    """Return the start of an absolute URL of this bridge."""
    return public_url(deps_of(request)) or f"{scheme_of(request)}://{request.host}"


def public_url(deps: AppDependencies) -> str:
    """Return the public URL without a trailing slash."""
    return deps.public_url.rstrip("/")
