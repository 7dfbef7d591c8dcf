"""Whether the images of a run reach the object store, and come back from it as they were sent."""

import threading
import time

from bridge.canary.gallery import Gallery
from bridge.canary.record import SentRecord
from bridge.canary.verdict import Finding, Kind, What
from bridge.client import BridgeClient
from bridge.client.query import QueryError
from bridge.client.query_types import ListedImage

POLL_SECONDS = 0.5
READINESS = "/readyz?verbose"
CHECK = "connection object_store"
"""How the line of READINESS begins that says how the bridge reaches its store."""


def check_store(
    record: SentRecord, client: BridgeClient, stopping: threading.Event, *, seconds: float
) -> list[Finding]:
    """Wait until every kept image of a run lies in the object store, then read them back from there.

    Returns what was found to be missing or wrong after so many seconds; nothing once `stopping` is set.
    """
    deadline = time.monotonic() + seconds
    stored, listed = 0, 0
    while not stopping.is_set():
        images = _listed(record, client)
        stored, listed = sum(image.in_store for image in images), len(images)
        if listed and stored == listed:
            return _read_back(record, client, listed)
        if time.monotonic() >= deadline:
            found = f"{stored} of them after {seconds:g} s; {_reason(client)}"
            return [_missing(f"{listed or 'some'} in the object store", found, listed - stored)]
        stopping.wait(POLL_SECONDS)
    return []


def _listed(record: SentRecord, client: BridgeClient) -> list[ListedImage]:
    try:
        batches = list(client.batches(record.run.session_id))
    except QueryError:
        return []
    return [image for batch in batches for image in batch.images]


def _read_back(record: SentRecord, client: BridgeClient, listed: int) -> list[Finding]:
    gallery = Gallery(record.run, client, record.has_sent)
    seen = gallery.check(is_whole=True)
    lacking = listed - len(gallery.compared)
    if lacking > 0:
        found = f"{len(gallery.compared)} of them; {_reason(client)}"
        seen.findings.append(_missing(f"{listed} read from the object store", found, lacking))
    return seen.findings


def _missing(expected: str, found: str, count: int) -> Finding:
    return Finding(Kind.MISSING, What.IMAGE, expected, found, max(1, count))


def _reason(client: BridgeClient) -> str:
    """Return what the bridge knows of its store."""
    try:
        lines = client.get(READINESS).decode(errors="replace").splitlines()
    except QueryError as error:
        return str(error)
    about = [line for line in lines if line.startswith(CHECK)]
    return about[0] if about else "the bridge's log has the reason"
