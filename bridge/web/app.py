"""The HTTP app: its routes, its static files and the headers of every response."""

from dataclasses import dataclass, replace

from aiohttp import web

from bridge.access import Role
from bridge.addresses import GO_TO_IMAGES
from bridge.web.admission import admitting
from bridge.web.api.alertmanager import post_alerts
from bridge.web.api.annotations import list_annotations
from bridge.web.api.bridges import list_bridges
from bridge.web.api.commands import list_commands, post_command
from bridge.web.api.compare import get_comparison
from bridge.web.api.curves import list_curves
from bridge.web.api.delete_session import delete_session
from bridge.web.api.events import list_events
from bridge.web.api.images import get_batch, list_images
from bridge.web.api.openapi.document import build_document
from bridge.web.api.openapi.endpoint import DOCUMENT, get_document
from bridge.web.api.runs import get_run
from bridge.web.api.sessions import get_session, list_sessions
from bridge.web.api.shard_bytes import shard_bytes
from bridge.web.attempts.catalog import ATTEMPTS, AttemptCatalog
from bridge.web.client_address import TRUSTED_PROXIES, is_secure
from bridge.web.database_absence import ABSENCE, DatabaseAbsence
from bridge.web.dependencies import DEPENDENCIES, AppDependencies
from bridge.web.errors import Endpoint, error_middleware
from bridge.web.exposition import SCRAPES, exposition
from bridge.web.health import liveness, readiness
from bridge.web.hosts import ALLOWED_HOSTS, AllowedHosts
from bridge.web.http_connections import HttpConnections
from bridge.web.links import (
    ALERTMANAGER,
    ANNOTATIONS,
    BRIDGES,
    COMPARE,
    LOGIN,
    LOGOUT,
    OPENAPI,
    root_path,
)
from bridge.web.pages.batch import batch_page
from bridge.web.pages.bridges import bridges_page
from bridge.web.pages.command_forms import post_form
from bridge.web.pages.compare import compare_page
from bridge.web.pages.contact_sheet import contact_sheet
from bridge.web.pages.delete_form import post_delete
from bridge.web.pages.go_to_images import go_to_images
from bridge.web.pages.images import image, latest_image
from bridge.web.pages.login import login_page, post_login, post_logout
from bridge.web.pages.run import run_page
from bridge.web.pages.session import session_page
from bridge.web.pages.sessions import sessions_page
from bridge.web.peers.archive import SharedArchive
from bridge.web.peers.forwarding import forwarding
from bridge.web.peers.receiving import prove_answer, receive_forwarded
from bridge.web.peers.shared_images import SHARDS, SharedImages
from bridge.web.request_limits import CONNECTIONS, limit_requests
from bridge.web.scrapes import Scrapes
from bridge.web.security_headers import TLS_ALONE, is_public_name, security_headers
from bridge.web.session_catalog import CATALOG, SessionCatalog
from bridge.web.static_files import STATIC_TYPES, static_file

MAX_BODY_BYTES = 64 * 1024

SESSION = "/sessions/{session_id}"

ATTEMPT = SESSION + r"/attempts/{attempt:\d+}"

BATCH = r"/batches/{epoch:\d+}-{batch:\d+}"


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, and the endpoint that serves them."""

    method: str
    path: str
    endpoint: Endpoint
    role: Role | None
    """What whoever makes a request must have; None: anybody may, also without credentials."""
    is_owners: bool = False
    """Whether the bridge that has the session answers, where several share a database.

    Commands go to it through the database, and every bridge reads images by itself.
    """
    is_internal: bool = False
    """Whether it serves nobody but bridges that share the database."""

    @property
    def plain(self) -> str:
        """The path as documentation writes it."""
        return self.path.replace(r":\d+", "").replace(":.+", "")

    @property
    def admits(self) -> str:
        """Who may make a request, as documentation writes it."""
        return "bridges" if self.is_internal else str(self.role or "anybody")


ROUTES = (
    Route("GET", "/", sessions_page, Role.VIEW),
    Route("GET", SESSION, session_page, Role.VIEW, is_owners=True),
    Route("GET", ATTEMPT, session_page, Role.VIEW, is_owners=True),
    Route("GET", SESSION + BATCH, batch_page, Role.VIEW, is_owners=True),
    Route("GET", ATTEMPT + BATCH, batch_page, Role.VIEW, is_owners=True),
    Route("GET", "/runs/{run_id}", run_page, Role.VIEW),
    Route("GET", f"/{COMPARE}", compare_page, Role.VIEW),
    Route("GET", f"/{BRIDGES}", bridges_page, Role.VIEW),
    Route("GET", f"/{GO_TO_IMAGES}", go_to_images, Role.VIEW, is_owners=True),
    Route("GET", SESSION + BATCH + r"/{position:\d+}.jpg", image, Role.VIEW),
    Route("GET", ATTEMPT + BATCH + r"/{position:\d+}.jpg", image, Role.VIEW),
    Route("GET", SESSION + r"/latest/{slot:\d+}.jpg", latest_image, Role.VIEW),
    Route("GET", SESSION + "/sheet.jpg", contact_sheet, Role.VIEW),
    Route("POST", SESSION + "/commands", post_form, Role.CONTROL),
    Route("POST", SESSION + "/delete", post_delete, Role.CONTROL, is_owners=True),
    Route("GET", f"/{LOGIN}", login_page, None),
    Route("POST", f"/{LOGIN}", post_login, None),
    Route("POST", f"/{LOGOUT}", post_logout, None),
    Route("GET", "/metrics", exposition, Role.METRICS),
    Route("GET", "/healthz", liveness, None),
    Route("GET", "/readyz", readiness, None),
    Route("GET", f"/{OPENAPI}", get_document, Role.VIEW),
    Route("GET", "/api/v1/sessions", list_sessions, Role.VIEW),
    Route("GET", "/api/v1" + SESSION, get_session, Role.VIEW, is_owners=True),
    Route("DELETE", "/api/v1" + SESSION, delete_session, Role.CONTROL, is_owners=True),
    Route("GET", "/api/v1" + SESSION + "/curves", list_curves, Role.VIEW, is_owners=True),
    Route("GET", "/api/v1" + SESSION + "/events", list_events, Role.VIEW, is_owners=True),
    Route("GET", "/api/v1" + SESSION + "/images", list_images, Role.VIEW, is_owners=True),
    Route("GET", "/api/v1" + SESSION + BATCH, get_batch, Role.VIEW, is_owners=True),
    Route("GET", "/api/v1/runs/{run_id}", get_run, Role.VIEW),
    Route("GET", f"/api/v1/{COMPARE}", get_comparison, Role.VIEW),
    Route("POST", "/api/v1" + SESSION + "/commands", post_command, Role.CONTROL),
    Route("GET", "/api/v1" + SESSION + "/commands", list_commands, Role.VIEW, is_owners=True),
    Route("POST", f"/{ALERTMANAGER}", post_alerts, Role.CONTROL),
    Route("GET", f"/api/v1/{BRIDGES}", list_bridges, Role.VIEW),
    Route("GET", f"/{ANNOTATIONS}", list_annotations, Role.VIEW),
    Route("GET", SHARDS + "/{key:.+}", shard_bytes, Role.VIEW, is_internal=True),
)


def build_app(deps: AppDependencies) -> web.Application:
    """Return the application with every route."""
    if deps.peers.bridge_id:
        images = SharedImages(deps.read_image, deps.peers, deps.peer_connections)
        archive = SharedArchive(deps.archive, deps.peers)
        deps = replace(deps, archive=archive, read_image=images.read)
    middlewares = [error_middleware, receive_forwarded, limit_requests]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app[DEPENDENCIES] = deps
    app[ALLOWED_HOSTS] = AllowedHosts.of(*deps.allowed_hosts, public_url=deps.public_url)
    app[SCRAPES] = Scrapes(deps.connection_limits.metrics_pages)
    app[TRUSTED_PROXIES] = deps.trusted_proxies
    app[CONNECTIONS] = HttpConnections(deps.connection_limits, deps.telemetry, deps.trusted_proxies)
    app[ABSENCE] = DatabaseAbsence(is_shared=bool(deps.peers.bridge_id))
    app[CATALOG] = SessionCatalog(deps, app[ABSENCE])
    app[ATTEMPTS] = AttemptCatalog(deps.archive)
    app[DOCUMENT] = build_document(ROUTES, asks_for_tokens=deps.authentication.is_required)
    _add_routes(app.router, "")
    if root := root_path(deps):
        _add_routes(app.router, root)
        app.router.add_get(root, _add_slash)
    headers = security_headers(deps)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        for name, value in headers.items():
            response.headers[name] = value
        prove_answer(request, response)
        if is_public_name(request) and is_secure(request):
            response.headers["Strict-Transport-Security"] = TLS_ALONE

    async def begin(_app: web.Application) -> None:
        await deps.peer_connections.open()

    async def end(_app: web.Application) -> None:
        deps.tiles.close()
        await deps.peer_connections.close()

    app.on_response_prepare.append(add_headers)
    app.on_startup.append(begin)
    app.on_cleanup.append(end)
    return app


def _add_routes(router: web.UrlDispatcher, root: str) -> None:
    """Add every route below a path: the public one too, since not every proxy removes it."""
    router.add_routes(
        web.route(route.method, f"{root}{route.path}", _endpoint(route)) for route in ROUTES
    )
    for name, content_type in STATIC_TYPES.items():
        router.add_get(f"{root}/static/{name}", static_file(name, content_type))


def _endpoint(route: Route) -> Endpoint:
    endpoint = forwarding(route.endpoint) if route.is_owners else route.endpoint
    return admitting(route.role, endpoint, is_internal=route.is_internal)


async def _add_slash(request: web.Request) -> web.Response:
    """Redirect to the same address with a slash, which relative links need."""
    return web.Response(status=308, headers={"Location": f"{request.rel_url.raw_name}/"})
