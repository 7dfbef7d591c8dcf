"""However many readers of /metrics are slow, a few pages are in memory."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from support.pages import Page

from bridge.errors import OverloadedError
from bridge.web.scrapes import Scrapes


async def render(_accept, _sessions):
    """Return a page of its own each time."""
    return Page(bytes(bytearray(b"page")), "text/plain")


async def test_readers_share_the_newest_page_above_the_limit():
    """Below it, each has a page as it is at its moment; when they are gone, so are their pages."""
    scrapes = Scrapes(2)
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(scrapes.page(render, "a", "")) for _ in range(5)]

        assert pages[0] is not pages[1]
        assert pages[1:] == [pages[1]] * 4
        assert len(scrapes._sending) == 2

    assert scrapes._sending == []


async def test_another_format_waits_until_there_is_room():
    """A page in a format that the reader does not take would be of no use to it."""
    scrapes = Scrapes(1)
    async with scrapes.page(render, "a", ""):
        with pytest.raises(OverloadedError, match="--max-metrics-pages"):
            async with scrapes.page(render, "b", ""):
                pass

    async with scrapes.page(render, "b", "") as scrape:
        assert scrape.wanted == ("b", "")


async def test_a_page_is_compressed_once():
    """For all that share it."""
    calls = []

    async def compress(page):
        calls.append(page)
        await asyncio.sleep(0)
        return page[:1]

    async with Scrapes(1).page(render, "", "") as scrape:
        assert await asyncio.gather(*[scrape.compress(compress) for _ in range(3)]) == [b"p"] * 3

    assert calls == [b"page"]


async def test_pages_of_others_are_not_shared():
    """Above the limit a reader never gets a page that was made for somebody who may see other sessions."""
    scrapes = Scrapes(1)
    async with scrapes.page(render, "a", "") as whole:
        with pytest.raises(OverloadedError):
            async with scrapes.page(render, "a", "team-a."):
                pass
        async with scrapes.page(render, "a", "") as again:
            assert again is whole
