"""The pages of /metrics that are on their way: a bounded number, however many readers are slow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridge.errors import OverloadedError
from bridge.web.dependencies import MetricsPage

RETRY_AFTER_MS = 5_000

Wanted = tuple[str, str]
"""An Accept header, and what the names of the sessions begin with."""


@dataclass(eq=False)
class Scrape:
    """One page, for as long as anybody takes it."""

    wanted: Wanted
    page: MetricsPage
    readers: int = 0
    compressed: asyncio.Future[bytes] | None = None

    async def compress(self, compress: Callable[[bytes], Awaitable[bytes]]) -> bytes:
        """Return the page compressed, which is done once for all its readers."""
        if self.compressed is None:
            self.compressed = asyncio.ensure_future(compress(self.page.body))
        return await asyncio.shield(self.compressed)


class Scrapes:
    """Renders a page for each request, until there are so many that readers share the newest one."""

    def __init__(self, limit: int) -> None:
        """Let `limit` different pages be on their way at once."""
        self._limit = limit
        self._sending: list[Scrape] = []

    @asynccontextmanager
    async def page(
        self, render: Callable[[str, str], Awaitable[MetricsPage]], accept: str, sessions: str
    ) -> AsyncIterator[Scrape]:
        """Yield the page for an Accept header and a prefix of sessions, to be held until it has been sent.

        Raises OverloadedError where there are too many, and none for those.
        """
        wanted = accept, sessions
        scrape = self._shared(wanted) or self._add(wanted, await render(*wanted))
        scrape.readers += 1
        try:
            yield scrape
        finally:
            scrape.readers -= 1
            if not scrape.readers:
                self._sending.remove(scrape)

    def _shared(self, wanted: Wanted) -> Scrape | None:
        if len(self._sending) < self._limit:
            return None
        for scrape in reversed(self._sending):
            if scrape.wanted == wanted:
                return scrape
        raise OverloadedError(
            f"{self._limit} pages of /metrics are on their way to readers that do not take them"
            " (--max-metrics-pages); try again in a moment",
            retry_after_ms=RETRY_AFTER_MS,
        )

    def _add(self, wanted: Wanted, page: MetricsPage) -> Scrape:
        """Return a page that has been rendered; requests that came meanwhile have the same one."""
        for scrape in self._sending:
            if scrape.page.body is page.body and scrape.wanted == wanted:
                return scrape
        self._sending.append(Scrape(wanted, page))
        return self._sending[-1]
