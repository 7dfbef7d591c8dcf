"""Carry the names of a link's ignored parameters over to the page it leads to."""

import re

from aiohttp import web

NAME = re.compile(r"[a-z_]{1,32}")
MAX_NAMES = 16


def ignored_params(request: web.Request) -> list[str]:
    """Return the parameters that the link to this page had, and that were ignored."""
    return displayable_names(request.query.get("ignored", "").split(","))


def displayable_names(names: list[str]) -> list[str]:
    """Return the names that are safe to show, in order and without duplicates."""
    return list(dict.fromkeys(name for name in names if NAME.fullmatch(name)))[:MAX_NAMES]
