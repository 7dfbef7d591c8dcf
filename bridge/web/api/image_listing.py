"""Which batches with images a request lists: in the sequence of the training, or those of a time."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from aiohttp import web

from bridge.errors import InvalidDataError
from bridge.storage.index import ImageBatch, ImageIndex
from bridge.web.request_params import parse_batch, whole_param

LATEST_MS = 2**53 - 1
"""The largest whole number that JSON carries exactly."""


class Listed(NamedTuple):
    """A page of batches."""

    batches: list[ImageBatch]
    following: dict[str, str] | None
    """The parameters of the next page; None: there is none."""


Listing = Callable[[ImageIndex, str, int], Listed]
"""Takes the session and how many batches a page has; asks the database."""


def listing_of(request: web.Request, attempt: int | None) -> Listing:
    """Return what lists the batches that a request asks for; raises InvalidDataError where it is not clear."""
    query = request.query
    after_text = query.get("after", "")
    if not (query.get("from") or query.get("to")):
        after = parse_batch(after_text)
        if after_text and after is None:
            raise InvalidDataError("after must be <epoch>-<batch>, as in 3-120")
        return partial(_by_place, after=after, attempt=attempt)
    if after_text:
        raise InvalidDataError(
            "after goes by epoch and batch, from and to by time: give one of them; `next` has what follows"
        )
    from_ms = whole_param(request, "from", 0, highest=LATEST_MS)
    to_ms = whole_param(request, "to", LATEST_MS, highest=LATEST_MS)
    return partial(_by_time, from_ms=from_ms, to_ms=to_ms, attempt=attempt)


def _by_place(
    index: ImageIndex,
    session_id: str,
    limit: int,
    *,
    after: tuple[int, int] | None,
    attempt: int | None,
) -> Listed:
    batches = index.page(session_id, limit=limit, after=after, attempt=attempt)
    if len(batches) < limit:
        return Listed(batches, None)
    return Listed(batches, {"after": f"{batches[-1].epoch}-{batches[-1].batch}"})


def _by_time(
    index: ImageIndex,
    session_id: str,
    limit: int,
    *,
    from_ms: int,
    to_ms: int,
    attempt: int | None,
) -> Listed:
    """Return the newest of a time; all of one millisecond are on the same page, so that the next begins after it."""
    batches = index.newest(session_id, limit=limit, from_ms=from_ms, to_ms=to_ms, attempt=attempt)
    if len(batches) < limit:
        return Listed(batches, None)
    last_ms = batches[-1].received_ms
    whole = [batch for batch in batches if batch.received_ms > last_ms]
    following = {"from": str(from_ms), "to": str(last_ms if whole else last_ms - 1)}
    return Listed(whole or batches, following)
