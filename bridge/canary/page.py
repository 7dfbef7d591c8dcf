"""What the canary says about itself: its own /metrics, and a log line for each finding."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

from bridge import __version__
from bridge.addresses import join_address, split_address
from bridge.canary.verdict import Finding, Kind, What
from bridge.errors import SettingError

log = logging.getLogger("bridge")

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

CAN_BE_LATE = (What.BATCH, What.EPOCH, What.IMAGE)
CAN_BE_WRONG = (What.BATCH, What.LOSS, What.PREDICTION, What.IMAGE)

LEVELS = {Kind.LATE: logging.WARNING}

disable_created_metrics()  # type: ignore[no-untyped-call]


class Page:
    """The series of one canary; all are there from the start, so that `increase()` sees the first step."""

    def __init__(self) -> None:
        """Start every count at 0."""
        self.registry = registry = CollectorRegistry(auto_describe=False)
        self.findings = 0
        """How many things were not as they should be."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"canary_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"canary_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"canary_{name}", text, buckets=BUCKETS, registry=registry)

        gauge("build_info", "What the canary is; always 1.", "version").labels(__version__).set(1)
        self.up = gauge(
            "bridge_up", "1: the last look at the bridge's /metrics succeeded; 0: it failed."
        )
        self.success = gauge(
            "last_success_timestamp_seconds",
            "When a look last found everything as it should be, with nothing overdue; 0: never.",
        )
        self.runs = counter("runs_total", "Sessions begun.")
        self.sent = counter("batches_sent_total", "Batches given to the SDK.")
        self.acknowledged = counter(
            "batches_acknowledged_total", "Batches the bridge acknowledged."
        )
        self._counters = {
            Kind.MISSING: counter(
                "missing_total", "Things acknowledged that the bridge does not show.", "what"
            ),
            Kind.DUPLICATE: counter(
                "duplicate_total", "Things the bridge shows more often than they were sent.", "what"
            ),
            Kind.WRONG: counter(
                "wrong_total", "Things the bridge shows with another value.", "what"
            ),
            Kind.LATE: counter(
                "late_total",
                "Things that showed later than --late-seconds after they were sent.",
                "what",
            ),
        }
        self.unchecked = counter(
            "unchecked_total",
            "Things that could not be compared, since they could not be read.",
            "what",
        )
        self.ack = histogram("ack_duration_seconds", "From sending a batch to its acknowledgment.")
        self.visible = histogram(
            "visible_duration_seconds", "From sending a batch to seeing it on /metrics."
        )
        self.image_visible = histogram(
            "image_visible_duration_seconds", "From sending an image to seeing it in the image API."
        )
        self._begin()

    def found(self, session_id: str, findings: Iterable[Finding]) -> None:
        """Count findings, and say each in one line."""
        for finding in findings:
            self.findings += finding.count
            self._counters[finding.kind].labels(finding.what).inc(finding.count)
            log.log(
                LEVELS.get(finding.kind, logging.ERROR),
                finding.kind.value,
                extra={
                    "fields": {
                        "what": finding.what.value,
                        "session": session_id,
                        "expected": finding.expected,
                        "found": finding.found,
                        "count": finding.count,
                    }
                },
            )

    def _begin(self) -> None:
        for kind, counter in self._counters.items():
            whats = {Kind.LATE: CAN_BE_LATE, Kind.WRONG: CAN_BE_WRONG}.get(kind, tuple(What))
            for what in whats:
                counter.labels(what)
        self.unchecked.labels(What.IMAGE)


@contextmanager
def serving(page: Page, address: str) -> Iterator[str]:
    """Serve the page while the block lasts, at the host:port that is yielded; port 0 takes a free one.

    Raises SettingError for an address that cannot be bound.
    """
    host, port = split_address(address)
    try:
        server, thread = start_http_server(port, host, page.registry)
    except OSError as error:
        raise SettingError(
            f"--listen: {address!r} cannot be bound ({error.strerror or error})"
        ) from error
    try:
        yield join_address(host, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
