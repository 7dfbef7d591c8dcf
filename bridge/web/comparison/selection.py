"""Which sessions are compared and by what, from the parameters of an address."""

from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from bridge.errors import NotFoundError
from bridge.protocol import SESSION_ID
from bridge.session import Session
from bridge.web.comparison.curves import CHOICES, LOSS, By
from bridge.web.dependencies import AppDependencies
from bridge.web.session_lookup import find_session

MAX_COMPARED = 8
"""As many lines as a reader can distinguish in one chart."""

MAX_NAMED = 20
"""Of the names that are not shown, so many are listed."""

MAX_CURVE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class ComparisonQuery:
    """What an address asks for."""

    names: tuple[str, ...]
    left_out: tuple[str, ...]
    """Beyond the limit."""
    impossible: tuple[str, ...]
    """What no session can be called."""
    curve: str = LOSS
    by: By = By.STEP


@dataclass(frozen=True, slots=True)
class FoundSessions:
    """The sessions that were asked for and exist, and the names of the others."""

    sessions: tuple[Session, ...]
    unknown: tuple[str, ...]


def comparison_query(request: web.Request) -> ComparisonQuery:
    """Return what is compared; `sessions` may be given several times, or hold several names with commas between them."""
    texts = ",".join(request.query.getall("sessions", ())).split(",")
    given = [name for text in texts if (name := text.strip())]
    names = _distinct(given)
    by = request.query.get("by", "")
    curve = request.query.get("curve", "").strip()[:MAX_CURVE_LENGTH]
    return ComparisonQuery(
        names[:MAX_COMPARED],
        names[MAX_COMPARED:][:MAX_NAMED],
        tuple(name for name in given if not SESSION_ID.fullmatch(name)),
        curve or LOSS,
        By(by) if by in CHOICES else By.STEP,
    )


async def find_sessions(deps: AppDependencies, names: Iterable[str]) -> FoundSessions:
    """Return the sessions of these names, in their order, and the names that no session has."""
    found, unknown = [], []
    for name in names:
        try:
            found.append(await find_session(deps, name))
        except NotFoundError:
            unknown.append(name)
    return FoundSessions(tuple(found), tuple(unknown))


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that a session can have, each once; a link cannot put other words on a page."""
    return tuple(dict.fromkeys(name for name in names if SESSION_ID.fullmatch(name)))
