"""The HTTP app: its routes, its static files and the headers of every response."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from bridge.addresses import GO_TO_IMAGES
from bridge.web.api.commands import list_commands, post_command
from bridge.web.api.images import get_batch, list_images
from bridge.web.api.sessions import get_session, list_sessions
from bridge.web.dependencies import DEPENDENCIES, AppDependencies
from bridge.web.errors import Endpoint, error_middleware
from bridge.web.exposition import exposition
from bridge.web.health import liveness, readiness
from bridge.web.listener import Listener
from bridge.web.pages.batch import batch_page
from bridge.web.pages.command_forms import post_form
from bridge.web.pages.contact_sheet import contact_sheet
from bridge.web.pages.go_to_images import go_to_images
from bridge.web.pages.images import image, latest_image
from bridge.web.pages.session import session_page
from bridge.web.pages.sessions import sessions_page
from bridge.web.security_headers import security_headers
from bridge.web.static_files import STATIC_TYPES, static_file

MAX_BODY_BYTES = 64 * 1024

GRACE_SECONDS = 5.0

SESSION = "/sessions/{session_id}"

BATCH = SESSION + r"/batches/{epoch:\d+}-{batch:\d+}"


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, and the endpoint that serves them."""

    method: str
    path: str
    endpoint: Endpoint

    @property
    def plain(self) -> str:
        """The path as documentation writes it."""
        return self.path.replace(r":\d+", "")


ROUTES = (
    Route("GET", "/", sessions_page),
    Route("GET", SESSION, session_page),
    Route("GET", BATCH, batch_page),
    Route("GET", f"/{GO_TO_IMAGES}", go_to_images),
    Route("GET", BATCH + r"/{position:\d+}.jpg", image),
    Route("GET", SESSION + r"/latest/{slot:\d+}.jpg", latest_image),
    Route("GET", SESSION + "/sheet.jpg", contact_sheet),
    Route("POST", SESSION + "/commands", post_form),
    Route("GET", "/metrics", exposition),
    Route("GET", "/healthz", liveness),
    Route("GET", "/readyz", readiness),
    Route("GET", "/api/v1/sessions", list_sessions),
    Route("GET", "/api/v1" + SESSION, get_session),
    Route("GET", "/api/v1" + SESSION + "/images", list_images),
    Route("GET", "/api/v1" + BATCH, get_batch),
    Route("POST", "/api/v1" + SESSION + "/commands", post_command),
    Route("GET", "/api/v1" + SESSION + "/commands", list_commands),
)


def build_app(deps: AppDependencies) -> web.Application:
    """Return the application with every route."""
    app = web.Application(middlewares=[error_middleware], client_max_size=MAX_BODY_BYTES)
    app[DEPENDENCIES] = deps
    app.router.add_routes(web.route(route.method, route.path, route.endpoint) for route in ROUTES)
    for name, content_type in STATIC_TYPES.items():
        app.router.add_get(f"/static/{name}", static_file(name, content_type))
    headers = security_headers(deps)

    async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
        for name, value in headers.items():
            response.headers[name] = value

    app.on_response_prepare.append(add_headers)
    return app


@asynccontextmanager
async def serve_http(app: web.Application, listener: Listener) -> AsyncIterator[None]:
    """Serve on a bound socket while the context lasts."""
    runner = web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=GRACE_SECONDS
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener.socket).start()
        yield
    finally:
        await runner.cleanup()
