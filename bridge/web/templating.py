"""Render templates into responses."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bridge import __version__
from bridge.addresses import images_link
from bridge.web import board_links, formatting
from bridge.web.identity import Viewer, viewer_of
from bridge.web.links import local_path

FOLDER = Path(__file__).parent

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""No page has them, unless a client put them into a text: a terminal that shows the page would obey them."""

BOARD_LINKS: Mapping[str, object] = {
    link.__name__: link
    for link in (
        board_links.fleet_board,
        board_links.session_board,
        board_links.moment_board,
        board_links.rank_board,
        board_links.compare_board,
    )
}


@cache
def templates() -> Environment:
    """Return the templates, which escape every value."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= formatting.FILTERS | {"axis_labels": formatting.axis_labels}
    environment.policies["truncate.leeway"] = 0
    environment.globals |= {"images_link": images_link, **BOARD_LINKS}
    return environment


def root_of(request: web.Request) -> str:
    """Return the relative path from a page to the root.

    So links stay right behind a proxy that serves the bridge under a path of its own.
    """
    depth = local_path(request).count("/") - 1
    return "../" * depth or "./"


def render(name: str, root: str, viewer: Viewer, **values: Any) -> str:
    """Return a page as text, as `viewer` may see it; safe in any thread."""
    template = templates().get_template(name)
    return template.render(root=root, viewer=viewer, version=__version__, **values)


def render_response(
    request: web.Request, name: str, *, status: int = 200, **values: Any
) -> web.Response:
    """Return a response with a page that takes no time to render."""
    return html_response(
        render(name, root_of(request), viewer_of(request), **values), status=status
    )


def html_response(text: str, *, status: int = 200) -> web.Response:
    """Return a response with a page, which must not be cached."""
    headers = {"Cache-Control": "no-store"}
    shown = CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
    return web.Response(text=shown, status=status, content_type="text/html", headers=headers)
