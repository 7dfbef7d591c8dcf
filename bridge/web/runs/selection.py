"""Which ranks of a run a page or a response shows, and in which order."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.web.runs.view import Rank, RunView


class RankSort(StrEnum):
    """In which order ranks are listed."""

    RANK = "rank"
    STRAGGLER = "straggler"
    STEP = "step"
    GPU = "gpu"


RANK_SORT_TEXTS = {
    RankSort.RANK: "By rank",
    RankSort.STRAGGLER: "Slowest first",
    RankSort.STEP: "Furthest behind first",
    RankSort.GPU: "Lowest GPU utilization first",
}

_KEYS: dict[RankSort, Callable[[RunView, Rank], Any]] = {
    RankSort.RANK: lambda _view, _rank: 0,
    RankSort.STRAGGLER: lambda _view, rank: -(rank.straggler_ratio or 0.0),
    RankSort.STEP: lambda view, rank: (not rank.is_behind, view.position(rank.reading)),
    RankSort.GPU: lambda _view, rank: (
        2.0 if rank.reading.gpus.utilization is None else rank.reading.gpus.utilization
    ),
}


def rank_sort(request: web.Request) -> RankSort:
    """Return the order that a request asks for; raises InvalidDataError."""
    given = request.query.get("sort", "") or RankSort.RANK
    if given not in tuple(RankSort):
        raise InvalidDataError(f"sort must be one of {', '.join(RankSort)}")
    return RankSort(given)


def sorted_ranks(view: RunView, sort: RankSort) -> list[Rank]:
    """Return all ranks in an order; equal ones by number."""
    return sorted(view.ranks, key=lambda rank: (_KEYS[sort](view, rank), rank.reading.rank))


def notable_ranks(view: RunView, own: int | None, limit: int) -> list[Rank]:
    """Return the ranks to show where there is room for a few: what stands out, this one, and the first ones."""
    ranks = sorted(
        view.ranks,
        key=lambda rank: (
            not (rank.is_slow or rank.is_behind or rank.reading.rank == own),
            rank.reading.rank,
        ),
    )
    return sorted(ranks[:limit], key=lambda rank: rank.reading.rank)
