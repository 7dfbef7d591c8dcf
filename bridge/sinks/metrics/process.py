"""The series of prometheus_client about the process of this bridge."""

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from bridge.threads import run_in_daemon_thread

END_OF_PAGE = b"# EOF\n"

REGISTRY = CollectorRegistry()
"""Empty on systems without /proc, where these series are not to be had."""

ProcessCollector(registry=REGISTRY)


async def process_series(*, is_openmetrics: bool) -> bytes:
    """Return the lines of these series, without the end of a page.

    They are read in a thread: to count its descriptors, a bridge with thousands of streams lists a long folder.
    """
    return await run_in_daemon_thread(lambda: _lines(is_openmetrics=is_openmetrics), name="process")


def _lines(*, is_openmetrics: bool) -> bytes:
    if not is_openmetrics:
        return bytes(generate_latest(REGISTRY))
    page = bytes(generate_openmetrics(REGISTRY))  # type: ignore[no-untyped-call]
    return page.removesuffix(END_OF_PAGE)
