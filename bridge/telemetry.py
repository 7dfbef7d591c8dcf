"""What the bridge says about itself: one method per occurrence, counting and logging together."""

import logging
import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from bridge import __version__
from bridge.model import (
    Batch,
    CommandResult,
    Epoch,
    Heartbeat,
    Message,
    Performance,
    Scalars,
    StatusChange,
)

log = logging.getLogger("bridge")

QUIET_SECONDS = 10.0
"""Occurrences of one kind are logged at most this often; they are always counted."""

KINDS: dict[type[Message], str] = {
    Batch: "batch_data",
    Epoch: "epoch_data",
    Performance: "performance_data",
    StatusChange: "status_update",
    Heartbeat: "heartbeat",
    Scalars: "scalar_data",
    CommandResult: "command_result",
}
"""What the protocol calls each message."""

COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
UPLOAD_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
EXPOSITION_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Telemetry:
    """Counts what happens in this bridge, and logs it when it is rare."""

    def __init__(self, *, public_url: str = "") -> None:
        """Start every count at 0; `public_url` is what links to this bridge begin with."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._last_logged: dict[str, float] = {}
        registry = self.registry

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, buckets=buckets, registry=registry)

        self._build = gauge(
            "bridge_build_info", "Version and address of this bridge.", "version", "public_url"
        )
        self._build.labels(__version__, public_url).set(1)
        self.sessions = gauge("bridge_sessions", "Sessions held in memory, by phase.", "state")
        self.streams = gauge("bridge_streams", "Open gRPC streams.")
        requests = counter("bridge_requests_received_total", "Messages received, by kind.", "kind")
        self._requests = {kind: requests.labels(name) for kind, name in KINDS.items()}
        self._received = counter("bridge_received_bytes_total", "Bytes of messages received.")
        self._errors = counter(
            "bridge_errors_total", "Errors answered to clients, by code.", "code"
        )
        self._dropped = counter(
            "bridge_dropped_total", "Things lost, by what and why.", "what", "reason"
        )
        self._commit = histogram(
            "bridge_commit_duration_seconds", "Time of one commit.", COMMIT_BUCKETS
        )
        self._commit_failures = counter(
            "bridge_commit_failures_total", "Commits that the disk refused; they are tried again."
        )
        self.journal_bytes = gauge("bridge_journal_bytes", "Size of the database.")
        self.loop_lag = gauge(
            "bridge_event_loop_lag_seconds", "Longest delay of the event loop lately."
        )
        self._exposition = histogram(
            "bridge_exposition_duration_seconds", "Time to render /metrics.", EXPOSITION_BUCKETS
        )
        self.series = gauge("bridge_series", "Training series on the last /metrics page.")
        self.spool_bytes = gauge("bridge_spool_bytes", "Image bytes waiting for the object store.")
        self.spool_limit_bytes = gauge("bridge_spool_limit_bytes", "Image bytes that may wait.")
        self.spool_up = gauge(
            "bridge_spool_up",
            "1: images can be written to the spool; 0: they cannot, and are dropped.",
        )
        self._spool_remade = counter(
            "bridge_spool_remade_total", "Times that the spool was missing and was made anew."
        )
        self._uploads = counter(
            "bridge_uploads_total", "Shards offered to the object store, by result.", "result"
        )
        self._upload_seconds = histogram(
            "bridge_upload_duration_seconds", "Time of one upload.", UPLOAD_BUCKETS
        )
        self._upload_bytes = counter(
            "bridge_upload_bytes_total", "Bytes stored in the object store."
        )
        self.object_store_up = gauge(
            "bridge_object_store_up", "1: the last upload succeeded; 0: it failed."
        )
        self._spans = counter("bridge_spans_total", "Spans, by result.", "result")
        self.span_outbox = gauge("bridge_span_outbox", "Spans waiting for the OTLP endpoint.")
        for result in ("stored", "failed"):
            self._uploads.labels(result)
        for result in ("exported", "failed", "dropped"):
            self._spans.labels(result)

    def received(self, kinds: Mapping[type[Message], int], size_bytes: int) -> None:
        """A frame arrived with so many messages of each kind."""
        for kind, count in kinds.items():
            self._requests[kind].inc(count)
        self._received.inc(size_bytes)

    def error_answered(self, code: str, reason: str) -> None:
        """A client was told that something is wrong with what it sent."""
        self._errors.labels(code).inc()
        self._log_rate_limited(
            logging.WARNING, f"error.{code}", "a message was refused", code=code, reason=reason
        )

    def dropped(self, what: str, reason: str, count: int = 1) -> None:
        """Something was lost; both names are from small fixed sets."""
        self._dropped.labels(what, reason).inc(count)
        self._log_rate_limited(
            logging.WARNING,
            f"dropped.{what}.{reason}",
            "dropped",
            what=what,
            reason=reason,
            count=count,
        )

    def committed(self, seconds: float) -> None:
        """One group of updates is on disk."""
        self._commit.observe(seconds)

    def commit_failed(self, error: Exception) -> None:
        """A group of updates could not be written; it will be tried again, and nobody gets an Ack for it."""
        self._commit_failures.inc()
        self._log_rate_limited(
            logging.ERROR, "commit", "a commit failed", error=f"{type(error).__name__}: {error}"
        )

    def row_refused(self, table: str, error: str) -> None:
        """A row that the database cannot hold was left out of a commit; the others were written."""
        self._dropped.labels(f"{table}_row", "unwritable").inc()
        self._log_rate_limited(
            logging.ERROR, f"row.{table}", "a row was not written", table=table, error=error
        )

    def rendered(self, seconds: float, series: int) -> None:
        """A /metrics page was rendered."""
        self._exposition.observe(seconds)
        self.series.set(series)

    def spool_remade(self, path: str) -> None:
        """Somebody removed the spool; what waited in it is lost."""
        self._spool_remade.inc()
        log.warning("the spool was missing: made anew", extra={"fields": {"path": path}})

    def recovery_failed(self, error: Exception) -> None:
        """The disk did not let a shard in the spool be closed or noted; it is tried again."""
        text = getattr(error, "strerror", None) or str(error)
        self._log_rate_limited(
            logging.WARNING, "recovery", "the spool waits to be recovered", error=text
        )

    def set_aside(self, path: str, reason: str) -> None:
        """Something damaged was moved, or copied, to where nobody reads it."""
        self._log_rate_limited(logging.WARNING, "aside", "set aside", path=path, reason=reason)

    def uploaded(self, key: str, size_bytes: int, seconds: float) -> None:
        """A shard is in the object store."""
        self._uploads.labels("stored").inc()
        self._upload_bytes.inc(size_bytes)
        self._upload_seconds.observe(seconds)
        self.object_store_up.set(1)
        log.debug("uploaded", extra={"fields": {"key": key, "size_bytes": size_bytes}})

    def upload_failed(self, key: str, error: Exception) -> None:
        """The object store did not take a shard; it will be tried again."""
        self._uploads.labels("failed").inc()
        self.object_store_up.set(0)
        self._log_rate_limited(
            logging.WARNING, "upload", "an upload failed", key=key, error=type(error).__name__
        )

    def spans_exported(self, count: int) -> None:
        """The OTLP endpoint has confirmed spans."""
        self._spans.labels("exported").inc(count)

    def span_export_failed(self, count: int) -> None:
        """The OTLP endpoint did not take spans; they will be tried again."""
        self._spans.labels("failed").inc(count)
        self._log_rate_limited(logging.WARNING, "spans", "spans were not taken", count=count)

    def spans_dropped(self, count: int, reason: str = "outbox_full") -> None:
        """Spans are lost: the oldest of a full outbox, or those that can never be delivered."""
        self._spans.labels("dropped").inc(count)
        self.dropped("span", reason, count)

    def session_changed(self, session_id: str, what: str, **fields: object) -> None:
        """A session was registered, connected, ended, lost or forgotten."""
        log.info(f"session {what}", extra={"fields": {"session_id": session_id, **fields}})

    def unexpected_error(self, where: str, error: BaseException) -> None:
        """Something went wrong inside that nobody expected; the bridge goes on."""
        if self._is_due(f"failed.{where}.{type(error).__name__}"):
            log.error("failed", extra={"fields": {"where": where}}, exc_info=error)

    def storage_failed(self, where: str, error: BaseException) -> None:
        """A store did not answer as it should, which is to be expected of stores."""
        self._log_rate_limited(
            logging.WARNING,
            f"storage.{where}",
            "a store could not be read",
            where=where,
            error=str(error),
        )

    def event(self, what: str, **fields: object) -> None:
        """Something happened that an operator wants to read once."""
        log.info(what, extra={"fields": fields})

    def _log_rate_limited(self, level: int, kind: str, text: str, **fields: object) -> None:
        if self._is_due(kind):
            log.log(level, text, extra={"fields": fields})

    def _is_due(self, kind: str) -> bool:
        """Tell whether something of a kind may be logged again, and take it for logged."""
        now = time.monotonic()
        if now - self._last_logged.get(kind, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._last_logged[kind] = now
        return True
