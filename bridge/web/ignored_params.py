"""Carry from one page to the next which parameters of a link were ignored."""

import re

from aiohttp import web

NAME = re.compile(r"[a-z_]{1,32}")
MOST = 16


def ignored_names(request: web.Request) -> list[str]:
    """Return the parameters that the page before this one could not use."""
    return told(request.query.get("ignored", "").split(","))


def told(names: list[str]) -> list[str]:
    """Return the names that may be shown, in order, each once."""
    return list(dict.fromkeys(name for name in names if NAME.fullmatch(name)))[:MOST]
