"""Which sessions a list shows, and in which order, from the parameters of its address."""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.web.session_catalog import SessionRow
from bridge.web.session_state import STATES

MAX_TEXT = 200

GROUPS: dict[str, Callable[[SessionRow], bool]] = {
    "live": lambda row: row.is_live,
    "ended": lambda row: not row.is_live,
}
"""Words for several statuses at once."""

STATUSES = (*GROUPS, *STATES)

SortKey = tuple[Any, ...]


class Sort(StrEnum):
    """In which order sessions are listed."""

    LIVE = "live"
    NEWEST = "newest"
    OLDEST = "oldest"
    UPDATED = "updated"
    NAME = "name"
    MODEL = "model"
    LOSS = "loss"


SORT_TEXTS = {
    Sort.LIVE: "Live first",
    Sort.NEWEST: "Newest first",
    Sort.OLDEST: "Oldest first",
    Sort.UPDATED: "Last updated",
    Sort.NAME: "Name",
    Sort.MODEL: "Model",
    Sort.LOSS: "Lowest loss",
}

KEYS: dict[Sort, Callable[[SessionRow], SortKey]] = {
    Sort.LIVE: lambda row: (not row.is_live, -row.registered_at, row.id),
    Sort.NEWEST: lambda row: (-row.registered_at, row.id),
    Sort.OLDEST: lambda row: (row.registered_at, row.id),
    Sort.UPDATED: lambda row: (-row.updated_at, row.id),
    Sort.NAME: lambda row: (row.id.casefold(), row.id),
    Sort.MODEL: lambda row: (not row.model, row.model.casefold(), -row.registered_at, row.id),
    Sort.LOSS: lambda row: (row.loss is None, row.loss or 0.0, row.id),
}
"""By what rows are sorted; each key ends with the id, so that no two are equal."""


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """A search, filters, and how to sort; "": any."""

    text: str = ""
    status: str = ""
    """One of STATUSES, or several with commas between them."""
    model: str = ""
    sort: Sort = Sort.LIVE

    @property
    def is_filtered(self) -> bool:
        """Whether it may leave sessions out."""
        return bool(self.text or self.status or self.model)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that it was read from, without those at their default."""
        sort = "" if self.sort is Sort.LIVE else str(self.sort)
        given = {"query": self.text, "status": self.status, "model": self.model, "sort": sort}
        return {name: value for name, value in given.items() if value}

    def select(self, rows: Iterable[SessionRow]) -> list[SessionRow]:
        """Return the rows that match, in order."""
        words, wanted = self.text.casefold().split(), frozenset(_parts(self.status))
        model = self.model.casefold()
        matching = (
            row
            for row in rows
            if (not wanted or _has_status(row, wanted))
            and (not model or row.model.casefold() == model)
            and all(word in row.text for word in words)
        )
        return sorted(matching, key=KEYS[self.sort])

    def cursor(self, row: SessionRow) -> str:
        """Return what makes a list go on behind a row, whatever comes or goes before it."""
        content = json.dumps([str(self.sort), *KEYS[self.sort](row)])
        return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")

    def rows_after(self, cursor: str, rows: list[SessionRow]) -> list[SessionRow]:
        """Return the selected rows behind a cursor; raises InvalidDataError."""
        key = KEYS[self.sort]
        try:
            content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            sort, *values = json.loads(content)
            start = tuple(values)
            if sort == self.sort and len(start) == len(key(_EXAMPLE)):
                return [row for row in rows if key(row) > start]
        except (ValueError, TypeError, RecursionError):
            pass
        raise InvalidDataError(
            "cursor must be one that `next` of a list in the same order holds; leave it out to begin"
        )


def query_of(request: web.Request) -> SessionQuery:
    """Return the search, filters and order of a list's address; raises InvalidDataError."""
    given = {
        name: request.query.get(name, "").strip() for name in ("query", "status", "model", "sort")
    }
    for name, text in given.items():
        if len(text) > MAX_TEXT:
            raise InvalidDataError(f"{name} must not be longer than {MAX_TEXT} characters")
    unknown = [part for part in _parts(given["status"]) if part not in STATUSES]
    if unknown:
        raise InvalidDataError(
            f"status must be of {', '.join(STATUSES)}; commas stand between several"
        )
    sort = given["sort"] or Sort.LIVE
    if sort not in tuple(Sort):
        raise InvalidDataError(f"sort must be one of {', '.join(Sort)}")
    status = ",".join(_parts(given["status"]))
    return SessionQuery(given["query"], status, given["model"], Sort(sort))


def _parts(status: str) -> list[str]:
    return [part.strip() for part in status.split(",") if part.strip()]


def _has_status(row: SessionRow, wanted: frozenset[str]) -> bool:
    return row.state in wanted or any(GROUPS[name](row) for name in wanted & GROUPS.keys())


_EXAMPLE = SessionRow("", "", True, True, "", "", 0.0, 0.0, None)
