"""Follows the links of boards, as Grafana's own code expands them."""

import re
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

from support.board_scene import Scene, Shown
from support.boards import BOARDS
from support.grafana_panels import Link, clickable

LEFT_OVER = re.compile(r"\$\{?\w|undefined|about:blank|\[object")
"""What stands in a link that nobody has filled in."""


class Page(NamedTuple):
    """What a link led to."""

    status: int
    url: str
    body: bytes

    @property
    def path(self) -> str:
        """Where it is on its bridge."""
        return urlsplit(self.url).path


def links(scene: Scene) -> Iterator[tuple[Shown, Link]]:
    """Yield every link of every point and cell of every panel."""
    for shown, drawn in zip(scene.shown, scene.drawn, strict=True):
        for link in clickable(shown.panel["title"], drawn):
            yield shown, link


def examples(scene: Scene) -> list[tuple[Shown, Link]]:
    """Return of each link of each column or series the first, the last, and the one at its highest value."""
    by_place: dict[tuple[str, ...], list[tuple[Shown, Link]]] = {}
    for shown, link in links(scene):
        place = (shown.where, shown.session, link.field, link.title, str(link.labels))
        by_place.setdefault(place, []).append((shown, link))
    chosen = {
        found[at][1].href: found[at]
        for found in by_place.values()
        for at in (0, -1, highest([link for _, link in found]))
    }
    return list(chosen.values())


def highest(found: list[Link]) -> int:
    """Return which link stands at the highest number."""
    numbers = [
        link.value if isinstance(link.value, int | float) else float("-inf") for link in found
    ]
    return numbers.index(max(numbers))


def fault(link: Link) -> str:
    """Return what is wrong with a link by its look alone; "": nothing."""
    if LEFT_OVER.search(link.href):
        return "something is not filled in"
    if not link.href.startswith("/"):
        return ""
    uid = urlsplit(link.href).path.removeprefix("/d/").partition("/")[0]
    words = parse_qs(urlsplit(link.href).query)
    if uid not in BOARDS:
        return f"there is no board {uid}"
    return "" if {"var-datasource", "from", "to"} <= words.keys() else "it forgets what was chosen"


def follow(url: str) -> Page:
    """Return the page that a link leads to, redirects followed."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310
            return Page(response.status, response.url, response.read())
    except HTTPError as error:
        return Page(error.code, error.url, error.read())
