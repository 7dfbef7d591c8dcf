"""Turn templates into answers."""

from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bridge import __version__
from bridge.web import formatting

FOLDER = Path(__file__).parent


@cache
def templates() -> Environment:
    """Return the templates, which escape whatever is put into them."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= formatting.FILTERS
    return environment


def root_of(request: web.Request) -> str:
    """Return the relative way from a page to the root.

    Links stay right behind a proxy that serves the bridge under a path of its own.
    """
    depth = request.rel_url.raw_path.count("/") - 1
    return "../" * depth or "./"


def render(name: str, root: str, **values: Any) -> str:
    """Return a page as text; may run in any thread."""
    return templates().get_template(name).render(root=root, version=__version__, **values)


def show(request: web.Request, name: str, *, status: int = 200, **values: Any) -> web.Response:
    """Answer with a small page."""
    return page(render(name, root_of(request), **values), status=status)


def page(text: str, *, status: int = 200) -> web.Response:
    """Answer with a page that is never kept."""
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)
