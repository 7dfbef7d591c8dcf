"""Lists show a run once, however many ranks report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bridge.web.session_catalog import SessionRow


class RankCount(NamedTuple):
    """The ranks of a run that stand behind one of them in a list."""

    run_id: str
    total: int
    connected: int


def folded(rows: Sequence[SessionRow]) -> list[SessionRow]:
    """Return rows in the same order, of each run only its lowest rank."""
    lowest = _lowest(rows)
    return [row for row in rows if row.rank is None or lowest.get(row.run_id, row) is row]


def rank_counts(rows: Iterable[SessionRow]) -> Mapping[str, RankCount]:
    """Return how many ranks there are of each run that has several."""
    totals: dict[str, list[int]] = {}
    for row in rows:
        if row.run_id and row.rank is not None:
            counts = totals.setdefault(row.run_id, [0, 0])
            counts[0] += 1
            counts[1] += row.is_connected
    return {
        run_id: RankCount(run_id, total, connected)
        for run_id, (total, connected) in totals.items()
        if total > 1
    }


def _lowest(rows: Iterable[SessionRow]) -> Mapping[str, SessionRow]:
    lowest: dict[str, SessionRow] = {}
    for row in rows:
        if not row.run_id or row.rank is None:
            continue
        known = lowest.get(row.run_id)
        if known is None or (row.rank, row.id) < (known.rank or 0, known.id):
            lowest[row.run_id] = row
    return lowest
