"""The sessions that are compared, each as all its attempts make it up."""

from collections.abc import Iterable
from dataclasses import dataclass

from bridge.web.attempts.catalog import AllAttempts, AttemptCatalog, since_the_first, view_of_all
from bridge.web.session_view import SessionView


@dataclass(frozen=True, slots=True)
class Contestant:
    """One session: what it has done and logged is of all attempts, it began with the first, and the rest is the newest's."""

    view: SessionView
    attempts: AllAttempts


def contestants(catalog: AttemptCatalog, newest: Iterable[SessionView]) -> tuple[Contestant, ...]:
    """Return the sessions to compare; blocks while their former attempts are read."""
    return tuple(_contestant(catalog, view) for view in newest)


def _contestant(catalog: AttemptCatalog, newest: SessionView) -> Contestant:
    attempts = catalog.all_of(newest)
    return Contestant(since_the_first(view_of_all(newest, attempts), attempts), attempts)
