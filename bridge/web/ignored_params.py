"""Carry the names of a link's ignored parameters over to the page it leads to."""

import re
from dataclasses import dataclass

from aiohttp import web

NAME = re.compile(r"[a-z_]{1,32}")
MAX_NAMES = 16

A_TIME = "give a time in milliseconds since 1970"
EXPECTED = {
    "at": A_TIME,
    "window_ms": "give milliseconds, and at",
    "held_ms": "give milliseconds, and at",
    "prefer": "give max_loss, max_finite_loss or newest",
    "epoch": "give a whole number",
    "batch": "give epoch and batch, such as 3-17",
    "actual": "give a class by number or name, and predicted",
    "predicted": "give a class by number or name, and actual",
    "from": A_TIME,
    "to": A_TIME,
    "attempt": "give a whole number from 1",
}
"""What the parameters of a link to images should be."""


@dataclass(frozen=True, slots=True)
class IgnoredParam:
    """A parameter that a link had in vain."""

    name: str
    expected: str


def ignored_params(request: web.Request) -> list[IgnoredParam]:
    """Return the parameters that the link to this page had, and that were ignored."""
    names = displayable_names(request.query.get("ignored", "").split(","))
    return [IgnoredParam(name, EXPECTED.get(name, "unknown")) for name in names]


def displayable_names(names: list[str]) -> list[str]:
    """Return the names that are safe to show, in order and without duplicates."""
    return list(dict.fromkeys(name for name in names if NAME.fullmatch(name)))[:MAX_NAMES]
