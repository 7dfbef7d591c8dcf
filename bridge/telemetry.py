"""What the bridge says about itself: one method per occurrence, counting and logging together."""

import logging
import time
from collections.abc import Callable, Mapping

from bridge import __version__
from bridge.database_outage import DatabaseOutage
from bridge.errors import loggable
from bridge.families import MESSAGE_KINDS
from bridge.instruments import Instruments
from bridge.log_limits import LineBudget, QuietPeriods
from bridge.model import Message, Stage
from bridge.takeover_telemetry import TakeoverTelemetry

log = logging.getLogger("bridge")

WORDS_LIMIT = 300
"""Characters logged of what another program says."""


class Telemetry:
    """Counts what happens in this bridge, and logs it when it is rare."""

    def __init__(self, *, public_url: str = "") -> None:
        """Start every count at 0; `public_url` is what links to this bridge begin with."""
        instruments = Instruments()
        self.registry = instruments.registry
        self._counters = instruments.counters
        self._gauges = instruments.gauges
        self._histograms = instruments.histograms
        self.takeovers = TakeoverTelemetry(self._counters, self._gauges, self._histograms)
        self._outage = DatabaseOutage()
        self._quiet = QuietPeriods()
        self._session_lines = LineBudget()
        self.on_connection_used: Callable[[str, bool], object] = lambda _name, _works: None
        """Called on the event loop with a connection that was used (`state`: whatever has it), and whether that went well."""
        received = self._counters["bridge_requests_received_total"]
        self._requests = {kind: received.labels(name) for kind, name in MESSAGE_KINDS.items()}
        self._gauges["bridge_build_info"].labels(__version__, public_url).set(1)

    def received(self, kinds: Mapping[type[Message], int], size_bytes: int) -> None:
        """A frame arrived; `kinds` counts its messages by type."""
        for kind, count in kinds.items():
            self._requests[kind].inc(count)
        self._counters["bridge_received_bytes_total"].inc(size_bytes)

    def error_answered(self, code: str, reason: str) -> None:
        """A client got an error for what it sent."""
        self._counters["bridge_errors_total"].labels(code).inc()
        self._log_rate_limited(
            logging.WARNING, f"error.{code}", "a message was refused", code=code, reason=reason
        )

    def dropped(self, what: str, reason: str, count: int = 1) -> None:
        """Something was lost; both names are from small fixed sets."""
        self._counters["bridge_dropped_total"].labels(what, reason).inc(count)
        kind, fields = f"dropped.{what}.{reason}", {"what": what, "reason": reason, "count": count}
        self._log_rate_limited(logging.WARNING, kind, "dropped", **fields)

    def committed(self, seconds: float) -> None:
        """A commit is on disk."""
        self._histograms["bridge_commit_duration_seconds"].observe(seconds)
        self._outage.end()
        self._used("database", works=True)

    def commit_failed(self, error: Exception) -> None:
        """A commit failed; it is retried, and nothing in it is acknowledged before it succeeds."""
        self._counters["bridge_commit_failures_total"].inc()
        self._used("state", works=False)
        if not self._outage.explains(error, is_commit=True):
            text = f"{type(error).__name__}: {error}"
            self._log_rate_limited(logging.ERROR, "commit", "a commit failed", error=text)

    def row_refused(self, table: str, error: str) -> None:
        """A row that the database cannot hold was left out of a commit; the others were written."""
        self._counters["bridge_dropped_total"].labels(f"{table}_row", "unwritable").inc()
        self._log_rate_limited(
            logging.ERROR, f"row.{table}", "a row was not written", table=table, error=error
        )

    def rendered(self, seconds: float, series: int) -> None:
        """A /metrics page was rendered."""
        self._histograms["bridge_exposition_duration_seconds"].observe(seconds)
        self._gauges["bridge_series"].set(series)

    def sessions_counted(self, counts: Mapping[Stage, int], limit: int) -> None:
        """The sessions in memory were counted by stage; a stage that is missing has none."""
        self._gauges["bridge_sessions_limit"].set(limit)
        for stage in Stage:
            self._gauges["bridge_sessions"].labels(stage.value).set(counts.get(stage, 0))

    def stream_opened(self) -> None:
        """A client opened a stream."""
        self._gauges["bridge_streams"].inc()

    def stream_refused(self, reason: str, **fields: object) -> None:
        """A gRPC call was refused or ended for a limit."""
        self._counters["bridge_streams_refused_total"].labels(reason).inc()
        kind, text = f"stream.{reason}", "a gRPC client was refused"
        self._log_rate_limited(logging.WARNING, kind, text, reason=reason, **fields)

    def stream_closed(self) -> None:
        """A stream ended, whoever ended it."""
        self._gauges["bridge_streams"].dec()

    def stream_rebalanced(self) -> None:
        """A client was asked to connect again, as its session began on another bridge."""
        self._counters["bridge_streams_rebalanced_total"].inc()

    def http_connections_counted(self, count: int) -> None:
        """An HTTP connection was opened or closed."""
        self._gauges["bridge_http_connections"].set(count)

    def http_refused(self, reason: str, **fields: object) -> None:
        """An HTTP connection or request was refused for how it came, not for what it asked."""
        self._counters["bridge_http_refused_total"].labels(reason).inc()
        self._log_rate_limited(
            logging.WARNING, f"http.{reason}", "an HTTP client was refused", reason=reason, **fields
        )

    def database_measured(self, size_bytes: int) -> None:
        """The size of the database and its write-ahead log is known."""
        self._gauges["bridge_journal_bytes"].set(size_bytes)

    def alerts_received(
        self, result: str, count: int = 1, *, is_news: bool = False, **fields: object
    ) -> None:
        """Alertmanager has sent alerts, and this has become of them; what changes nothing is logged now and then."""
        self._counters["bridge_alerts_received_total"].labels(result).inc(count)
        if is_news or self._quiet.claim(f"alert.{result}"):
            self.event("alert received", result=result, **fields)

    def loop_lag_measured(self, seconds: float) -> None:
        """The longest recent delay of the event loop is known."""
        self._gauges["bridge_event_loop_lag_seconds"].set(seconds)

    def spool_measured(self, used_bytes: int, limit_bytes: int) -> None:
        """The size of the spool, and what it may take, are known."""
        self._gauges["bridge_spool_bytes"].set(used_bytes)
        self._gauges["bridge_spool_limit_bytes"].set(limit_bytes)

    def spool_checked(self, *, is_usable: bool) -> None:
        """Images can, or cannot, be written to the spool."""
        self._gauges["bridge_spool_up"].set(is_usable)

    def spool_remade(self, path: str) -> None:
        """The spool folder was removed from outside and created anew; the images waiting in it are lost."""
        self._counters["bridge_spool_remade_total"].inc()
        log.warning("the spool was missing: created anew", extra={"fields": {"path": path}})

    def recovery_failed(self, error: Exception) -> None:
        """A shard in the spool could not be closed or recorded; it is retried."""
        text = getattr(error, "strerror", None) or str(error)
        self._log_rate_limited(
            logging.WARNING, "recovery", "recovery of the spool is pending", error=text
        )

    def set_aside(self, path: str, reason: str) -> None:
        """Something damaged was moved or copied to the folder for damaged files."""
        self._log_rate_limited(logging.WARNING, "aside", "set aside", path=path, reason=reason)

    def uploaded(self, key: str, size_bytes: int, seconds: float) -> None:
        """A shard is in the object store."""
        self._counters["bridge_uploads_total"].labels("stored").inc()
        self._counters["bridge_upload_bytes_total"].inc(size_bytes)
        self._histograms["bridge_upload_duration_seconds"].observe(seconds)
        self._store_used(works=True)
        log.debug("uploaded", extra={"fields": {"key": key, "size_bytes": size_bytes}})

    def upload_failed(self, key: str, error: Exception) -> None:
        """The object store did not accept a shard; the upload is retried."""
        self._counters["bridge_uploads_total"].labels("failed").inc()
        self._store_used(works=False)
        self._log_rate_limited(
            logging.WARNING, "upload", "an upload failed", key=key, error=loggable(error)
        )

    def upload_stalled(self) -> None:
        """The object store has held an upload for too long without an answer."""
        self._store_used(works=False)

    def left_in_spool(self, shards: int, images: int, folder: str, *, is_kept: bool) -> None:
        """A bridge stops before these were uploaded; where the spool is kept, the next start uploads them."""
        fields = {"images": images, "shards": shards, "spool": folder}
        if is_kept:
            log.warning(
                "images were not uploaded: kept in the spool for the next start, unless that folder goes with the"
                " process (emptyDir)",
                extra={"fields": fields},
            )
            return
        self._counters["bridge_dropped_total"].labels("image", "not_uploaded").inc(images)
        log.error(
            "images were not uploaded, and are lost with the temporary state folder: give --state a folder, or a"
            " longer --shutdown-grace-seconds",
            extra={"fields": fields},
        )

    def deletion_requested(
        self, session_id: str, *, images: bool, by: str, attempt: int | None
    ) -> None:
        """Somebody wants a session deleted, or one attempt of it."""
        fields = {"session_id": session_id, "attempt": attempt, "images": images, "by": by}
        log.info("session deletion requested", extra={"fields": fields})

    def sessions_outdated(self, count: int) -> None:
        """Sessions are older, or more, than is to be kept."""
        log.info("old sessions are deleted", extra={"fields": {"sessions": count}})

    def attempts_outdated(self, count: int) -> None:
        """Sessions have more attempts than are to be kept; the oldest go."""
        self._counters["bridge_attempts_outdated_total"].inc(count)

    def deletions_pending(self, count: int) -> None:
        """The sessions whose deletion is under way were counted."""
        self._gauges["bridge_deletions_pending"].set(count)

    def shard_deleted(self) -> None:
        """A shard of a deleted session is no longer in the object store."""
        self._counters["bridge_shards_deleted_total"].inc()

    def session_deleted(self, session_id: str, attempt: int | None) -> None:
        """Nothing is left of a session that was to be deleted, or of one attempt of it."""
        if attempt is None:
            self._counters["bridge_sessions_deleted_total"].inc()
        self.event("session deleted", session_id=session_id, attempt=attempt)

    def deletion_failed(self, session_id: str, error: Exception) -> None:
        """A deletion could not go on; it is tried again."""
        self._log_rate_limited(
            logging.WARNING,
            "deletion",
            "the deletion of a session is tried again",
            session_id=session_id,
            error=loggable(error),
        )

    def tile_refused(self, reason: str) -> None:
        """An image is grey on a contact sheet: it cannot be decoded, or would cost too much."""
        self._counters["bridge_tiles_refused_total"].labels(reason).inc()
        self._log_rate_limited(
            logging.WARNING, f"tile.{reason}", "an image was not drawn on a sheet", reason=reason
        )

    def connection_changed(self, name: str, target: str, error: str | None) -> None:
        """A check of a connection showed something else than the one before; None: it works now."""
        self._gauges["bridge_connection_up"].labels(name).set(error is None)
        fields = {"connection": name, "target": target}
        if name == "database" and self._outage.covers_check(works=error is None):
            return
        if error is None:
            log.info("a connection works", extra={"fields": fields})
        else:
            log.warning("a connection does not work", extra={"fields": {**fields, "error": error}})

    def spans_waiting(self, count: int) -> None:
        """The spans in the outbox were counted."""
        self._gauges["bridge_span_outbox"].set(count)

    def spans_exported(self, count: int) -> None:
        """The OTLP endpoint has accepted spans."""
        self._counters["bridge_spans_total"].labels("exported").inc(count)
        self._used("otlp", works=True)

    def span_export_failed(self, count: int, error: Exception) -> None:
        """The OTLP endpoint did not accept spans; the export is retried."""
        self._counters["bridge_spans_total"].labels("failed").inc(count)
        self._used("otlp", works=False)
        self._log_rate_limited(
            logging.WARNING, "spans", "a span export failed", count=count, error=str(error)
        )

    def spans_rejected(self, count: int, message: str) -> None:
        """The OTLP endpoint accepted an export but for `count` spans, which are lost; or it warns of something."""
        if count:
            self._counters["bridge_spans_total"].labels("dropped").inc(count)
            self._counters["bridge_dropped_total"].labels("span", "rejected").inc(count)
        words = " ".join(message.split())[:WORDS_LIMIT]
        text = "the OTLP endpoint rejected spans" if count else "the OTLP endpoint warns"
        self._log_rate_limited(
            logging.WARNING, "spans.rejected", text, count=count, endpoint_says=words
        )

    def spans_dropped(self, count: int, reason: str = "outbox_full") -> None:
        """Spans are lost: the oldest of a full outbox, or those that can never be delivered."""
        self._counters["bridge_spans_total"].labels("dropped").inc(count)
        self.dropped("span", reason, count)

    def left_in_outbox(self, count: int, *, is_kept: bool) -> None:
        """A bridge stops before these spans were exported; where the outbox is kept, the next start exports them."""
        fields = {"spans": count}
        if is_kept:
            text = "spans were not exported: kept in the state folder for the next start"
            log.warning(text, extra={"fields": fields})
            return
        self._counters["bridge_dropped_total"].labels("span", "not_exported").inc(count)
        log.error(
            "spans were not exported, and are lost with the temporary state folder: give --state a folder, or a longer --shutdown-grace-seconds",
            extra={"fields": fields},
        )

    def session_changed(self, session_id: str, what: str, **fields: object) -> None:
        """A session was registered, connected, ended, lost or expired."""
        self._counters["bridge_session_events_total"].labels(what.replace(" ", "_")).inc()
        lines = self._session_lines
        if not lines.take(f"{what} {session_id}", time.monotonic()):
            return
        if lines.left_out:
            fields["not_logged"], lines.left_out = lines.left_out, 0
        log.info(f"session {what}", extra={"fields": {"session_id": session_id, **fields}})

    def unexpected_error(self, where: str, error: BaseException) -> None:
        """An error that nothing here foresees was caught; the bridge goes on."""
        if self._quiet.claim(f"failed.{where}.{type(error).__name__}"):
            log.error("unexpected error", extra={"fields": {"where": where}}, exc_info=error)

    def storage_failed(self, where: str, error: BaseException) -> None:
        """A store could not be read, which is to be expected of stores now and then."""
        if self._outage.explains(error):
            return
        kind, text = f"storage.{where}", "a store could not be read"
        self._log_rate_limited(logging.WARNING, kind, text, where=where, error=str(error))

    def certificate_kept(self, reason: str) -> None:
        """A renewed certificate cannot be used; the one before stays, until it expires."""
        log.warning("the certificate stays", extra={"fields": {"reason": reason}})

    def access_kept(self, reason: str) -> None:
        """A changed file of tokens or rules cannot be used; what it held before stays in use."""
        log.warning("access stays as it was", extra={"fields": {"reason": reason}})

    def event(self, what: str, **fields: object) -> None:
        """Something happened that an operator wants to read once; it is never rate limited."""
        log.info(what, extra={"fields": fields})

    def _store_used(self, *, works: bool) -> None:
        self._gauges["bridge_object_store_up"].set(works)
        self._used("object_store", works=works)

    def _used(self, connection: str, *, works: bool) -> None:
        self.on_connection_used(connection, works)

    def _log_rate_limited(self, level: int, kind: str, text: str, **fields: object) -> None:
        if self._quiet.claim(kind):
            log.log(level, text, extra={"fields": fields})
