"""The sessions that are compared, each as all its attempts make it up."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridge.web.attempts.catalog import AllAttempts, AttemptCatalog, view_of_all
from bridge.web.session_view import SessionView


@dataclass(frozen=True, slots=True)
class Contestant:
    """One session: its loss and its epochs are of all attempts, it began with the first, and the rest is the newest's."""

    view: SessionView
    attempts: AllAttempts


def contestants(catalog: AttemptCatalog, newest: Iterable[SessionView]) -> tuple[Contestant, ...]:
    """Return the sessions to compare; blocks while their former attempts are read."""
    return tuple(_contestant(catalog, view) for view in newest)


def _contestant(catalog: AttemptCatalog, newest: SessionView) -> Contestant:
    attempts = catalog.all_of(newest)
    began = attempts.listed[0].registered_at
    return Contestant(replace(view_of_all(newest, attempts), registered_at=began), attempts)
