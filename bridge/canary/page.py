"""What the canary reports: its own /metrics, and a log line for each finding."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import prometheus_client as prometheus

from bridge import __version__
from bridge.addresses import join_address, split_address
from bridge.canary.verdict import Finding, Kind, What
from bridge.errors import SettingError

log = logging.getLogger("bridge")

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

FINDINGS = {
    Kind.MISSING: "Things acknowledged that the bridge does not show.",
    Kind.DUPLICATE: "Things the bridge shows more often than they were sent.",
    Kind.WRONG: "Things the bridge shows with another value.",
    Kind.LATE: "Things that appeared later than --late-seconds after they were sent.",
}

WHAT_CAN_BE = {
    Kind.LATE: (What.BATCH, What.EPOCH, What.IMAGE),
    Kind.WRONG: (What.BATCH, What.LOSS, What.PREDICTION, What.IMAGE),
}

prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]


class Page:
    """The series of one canary; all exist from the start, so that `increase()` sees the first step."""

    def __init__(self) -> None:
        self.registry = own = prometheus.CollectorRegistry(auto_describe=False)
        self.findings = 0
        """How many things were not as they should be."""

        counter = partial(prometheus.Counter, namespace="canary", registry=own)
        gauge = partial(prometheus.Gauge, namespace="canary", registry=own)
        histogram = partial(prometheus.Histogram, namespace="canary", registry=own, buckets=BUCKETS)
        build_info = gauge("build_info", "Version of the canary; always 1.", ["version"])
        build_info.labels(__version__).set(1)
        self.up = gauge(
            "bridge_up", "1: the last reading of the bridge's /metrics succeeded; 0: it failed."
        )
        self.success = gauge(
            "last_success_timestamp_seconds",
            "When a check last found everything as it should be, with nothing overdue; 0: never.",
        )
        self.runs = counter("runs_total", "Sessions begun.")
        self.sent = counter("batches_sent_total", "Batches given to the SDK.")
        self.acknowledged = counter(
            "batches_acknowledged_total", "Batches the bridge acknowledged."
        )
        self._counters = {
            kind: counter(f"{kind}_total", text, ["what"]) for kind, text in FINDINGS.items()
        }
        self.unchecked = counter(
            "unchecked_total", "Things not compared, since they could not be read.", ["what"]
        )
        self.ack = histogram("ack_duration_seconds", "From sending a batch to its acknowledgment.")
        self.visible = {
            What.BATCH: histogram(
                "visible_duration_seconds", "From sending a batch to seeing it on /metrics."
            ),
            What.IMAGE: histogram(
                "image_visible_duration_seconds",
                "From sending an image to seeing it in the image API.",
            ),
        }
        for kind, family in self._counters.items():
            for what in WHAT_CAN_BE.get(kind, tuple(What)):
                family.labels(what)
        self.unchecked.labels(What.IMAGE)

    def report(self, session_id: str, findings: Iterable[Finding]) -> None:
        """Count findings, and log each in one line."""
        for finding in findings:
            self.findings += finding.count
            self._counters[finding.kind].labels(finding.what).inc(finding.count)
            pair = {"expected": finding.expected, "found": finding.found, "count": finding.count}
            fields = {"what": finding.what.value, "session": session_id, **pair}
            level = logging.WARNING if finding.kind is Kind.LATE else logging.ERROR
            log.log(level, finding.kind.value, extra={"fields": fields})


@contextmanager
def serving(page: Page, address: str) -> Iterator[str]:
    """Serve the page while the block lasts, at the host:port that is yielded; port 0 takes a free one.

    Raises SettingError for an address that cannot be bound.
    """
    host, port = split_address(address)
    try:
        server, thread = prometheus.start_http_server(port, host, page.registry)
    except OSError as error:
        reason = error.strerror or error
        raise SettingError(
            f"--listen: {address} cannot be bound: {reason}; give an address of this machine with a free port,"
            " or port 0 for any free one"
        ) from error
    try:
        yield join_address(host, server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
