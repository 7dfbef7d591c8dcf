"""Renders the /metrics page without holding up the event loop."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from bridge.sinks.metrics.commit_gate import CommitGate, at_once
from bridge.sinks.metrics.lines import pieces
from bridge.sinks.metrics.negotiation import negotiate_format
from bridge.sinks.metrics.process import process_series
from bridge.sinks.metrics.series import SessionSeries
from bridge.sinks.metrics.state import Confusion, TrainingMetrics
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

SLICE_SECONDS = 0.001
"""Rendering yields to the event loop after this long."""

THREAD_BYTES = 1 << 20
"""Larger pages are joined in a thread, where copying does not hold up the event loop."""


BUILD_INFO = "bridge_build_info"
"""What boards read the address of pages from."""

Key = tuple[bool, str]
"""Whether a page is OpenMetrics, and what the names of its sessions begin with."""


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered /metrics page."""

    body: bytes
    content_type: str


class Exposition:
    """Renders the series of all sessions, followed by those of the process and the bridge's own.

    A page shows of sessions what is on disk: what a kill, or another bridge that takes a session, could take back would
    look like a counter that has begun anew. While nothing can be written, a bridge that has its sessions for itself shows
    what it has received; one that shares them, which another may have taken meanwhile, shows them as they stood last.
    """

    def __init__(
        self,
        metrics: TrainingMetrics,
        telemetry: Telemetry,
        committed: Callable[[], Awaitable[None]] = at_once,
        *,
        is_shared: bool = False,
    ) -> None:
        """Render the sessions of `metrics` and the registry of `telemetry`.

        `committed` returns once all that was consumed before the call is on disk; `is_shared`: other bridges may take
        sessions.
        """
        self._is_shared = is_shared
        self._metrics = metrics
        self._telemetry = telemetry
        self._gate = CommitGate(committed)
        self._running: dict[Key, asyncio.Task[bytes]] = {}
        """Renderings that have not begun, or whose sessions are not all rendered yet: who asks now may share them."""
        self._turns: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._committed: dict[Key, bytes] = {}
        """The sessions of each page as they were last known to be on disk."""

    async def render(self, accept: str = "", sessions: str = "") -> Page:
        """Return the page in the format that an Accept header negotiates.

        With `sessions`, which session names begin with, it has the series of these alone, and of the bridge itself nothing
        but who it is. Requests that come while the same page is being rendered share it.
        """
        page_format = negotiate_format(accept)
        body = await asyncio.shield(self._rendering((page_format.is_openmetrics, sessions)))
        return Page(body, page_format.content_type)

    def confusion(self, session_id: str) -> Confusion:
        """Return the predictions of a session, empty if there were none."""
        return self._metrics.confusion(session_id)

    def _rendering(self, key: Key) -> asyncio.Task[bytes]:
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._render(*key))
            task.add_done_callback(partial(self._on_rendered, key))
        return task

    def _on_rendered(self, key: Key, task: asyncio.Task[bytes]) -> None:
        self._close(key, task)
        if not task.cancelled():
            task.exception()  # raised for whoever still waits; without them asyncio must not warn

    def _close(self, key: Key, task: asyncio.Task[bytes] | None) -> None:
        """Let nobody share a rendering any more: it lacks what comes from now on."""
        if self._running.get(key) is task:
            del self._running[key]

    async def _render(self, is_openmetrics: bool, sessions: str) -> bytes:  # noqa: FBT001 -- as in the key
        key = (is_openmetrics, sessions)
        # One page waits for its commit, and all who come meanwhile wait for one page after it.
        async with self._turns[key]:
            chunks = [await self._sessions(key)]
        if not sessions:
            chunks.append(await process_series(is_openmetrics=is_openmetrics))
        chunks.append(self._own(is_openmetrics=is_openmetrics, is_whole=not sessions))
        return await _joined(chunks)

    async def _sessions(self, key: Key) -> bytes:
        """Return the series of all sessions, as they are on disk."""
        is_openmetrics, prefix = key
        # What another bridge has taken while the page waited is not on disk as it stands there: once more, without it.
        for _ in range(2):
            started = time.perf_counter()
            shown = [one for one in self._metrics.all() if one.session.id.startswith(prefix)]
            chunks, series = await _chunks(shown, is_openmetrics=is_openmetrics)
            self._close(key, asyncio.current_task())
            if not prefix:
                self._telemetry.rendered(time.perf_counter() - started, series)
            if not await self._gate.passes():
                return self._committed.get(key, b"") if self._is_shared else await _joined(chunks)
            if self._metrics.all_there(shown):
                break
        body = await _joined(chunks)
        if self._is_shared:
            self._committed[key] = body
        return body

    def _own(self, *, is_openmetrics: bool, is_whole: bool) -> bytes:
        """Return the bridge's own metrics, or nothing but who it is; in OpenMetrics with the end of the page."""
        whole = self._telemetry.registry
        registry = whole if is_whole else whole.restricted_registry([BUILD_INFO])
        if is_openmetrics:
            return bytes(generate_openmetrics(registry))  # type: ignore[no-untyped-call]
        return bytes(generate_latest(registry))


async def _joined(chunks: list[bytes]) -> bytes:
    if sum(map(len, chunks)) > THREAD_BYTES:
        return await run_in_daemon_thread(lambda: b"".join(chunks), name="exposition")
    return b"".join(chunks)


async def _chunks(
    sessions: Sequence[SessionSeries], *, is_openmetrics: bool
) -> tuple[list[bytes], int]:
    """Render in slices of time, and count the series."""
    chunks: list[bytes] = []
    series = 0
    slice_end = time.perf_counter() + SLICE_SECONDS
    for text, count in pieces(sessions, is_openmetrics=is_openmetrics):
        chunks.append(text.encode())
        series += count
        if time.perf_counter() > slice_end:
            await asyncio.sleep(0)
            slice_end = time.perf_counter() + SLICE_SECONDS
    return chunks, series
