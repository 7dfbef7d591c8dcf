"""What a family of series is, and the table of families about the bridge itself: `Telemetry` is built from it."""

from dataclasses import dataclass
from enum import StrEnum

from bridge.model import (
    Batch,
    CommandResult,
    Epoch,
    Heartbeat,
    Message,
    Occurrence,
    Performance,
    Scalars,
    StatusChange,
)

COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
UPLOAD_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
EXPOSITION_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

HTTP_REFUSALS = (
    "connections",
    "connections_per_address",
    "slow_request",
    "encoding",
    "slow_reader",
    "malformed",
    "host",
    "metrics_pages",
    "no_tls",
    "handshake",
    "accept",
    "unauthenticated",
    "permission_denied",
    "login",
    "forwarded",
)
"""Too many connections in all, or of one address; too slow in sending or reading; a body that would
have to be unpacked; not HTTP; a foreign host;
too many pages of /metrics on their way; plain text where TLS is spoken; a handshake of TLS that failed; a connection
that could not be taken; no credentials that admit anybody; a role that is missing; a token that the login page does not take;
a request that says that another bridge has passed it on, and does not prove it."""

STREAM_REFUSALS = (
    "streams",
    "streams_per_address",
    "no_turn",
    "no_message",
    "unread",
    "expired",
    "database",
)
"""Too many streams in all, or of one address; waited for a turn in vain; had one, and sent nothing; responses
that were not read; the session is gone; it is another bridge's, and the database does not answer."""

MESSAGE_KINDS: dict[type[Message], str] = {
    Batch: "batch_data",
    Epoch: "epoch_data",
    Performance: "performance_data",
    StatusChange: "status_update",
    Heartbeat: "heartbeat",
    Scalars: "scalar_data",
    Occurrence: "event",
    CommandResult: "command_result",
}
"""What the protocol calls each message."""

ALERT_RESULTS = (
    *("queued", "duplicate", "refused", "retry", "kept"),
    *("passed_on", "elsewhere", "no_session", "invalid", "left_out"),
)
"""What may become of an alert that Alertmanager sends."""

UNITS = ("seconds", "bytes", "ratio", "celsius", "watts")


class Type(StrEnum):
    """Types of families, as the exposition formats name them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family: all series of one name."""

    name: str
    """As in queries; for a histogram without _bucket, _sum and _count."""
    type: Type
    help: str
    source: str
    """What feeds it."""
    labels: tuple[str, ...] = ()
    """All but `le`."""
    attribute: str = ""
    """The attribute of SessionSeries that holds the family; "" for families about the bridge."""
    buckets: tuple[float, ...] = ()
    initial: tuple[str, ...] = ()
    """Values of its only label whose series are on the page, at 0, before anything is counted."""
    is_unknown_at_first: bool = False
    """A gauge that is NaN, not 0, until it is measured."""

    @property
    def unit(self) -> str:
        """The base unit that the name ends in, or ""."""
        words = self.name.removesuffix("_total").split("_")
        return words[-1] if words[-1] in UNITS else ""


def _gauge(
    name: str, help: str, source: str, *labels: str, is_unknown_at_first: bool = False
) -> Family:
    return Family(name, Type.GAUGE, help, source, labels, is_unknown_at_first=is_unknown_at_first)


def _counter(
    name: str, help: str, source: str, *labels: str, initial: tuple[str, ...] = ()
) -> Family:
    return Family(name, Type.COUNTER, help, source, labels, initial=initial)


def _histogram(name: str, help: str, source: str, buckets: tuple[float, ...]) -> Family:
    return Family(name, Type.HISTOGRAM, help, source, buckets=buckets)


BRIDGE_FAMILIES = (
    _gauge(
        "bridge_build_info",
        "Version and public URL of this bridge; always 1.",
        "settings; dashboards read public_url for their links",
        *("version", "public_url"),
    ),
    _gauge(
        "bridge_sessions",
        "Sessions in memory, by the stage of their life.",
        "the registry",
        "state",
    ),
    _gauge(
        "bridge_sessions_limit",
        "Sessions that may be in memory; more are refused.",
        "settings",
    ),
    _counter(
        "bridge_session_events_total",
        "Registrations, connections and ends of sessions, by event.",
        "the registry",
        "event",
    ),
    _gauge("bridge_streams", "Open gRPC streams.", "the receiver"),
    _counter(
        "bridge_streams_rebalanced_total",
        "Clients asked to connect again because their session began on another bridge.",
        "the receiver",
    ),
    _counter(
        "bridge_streams_refused_total",
        "gRPC streams and registrations that were refused or ended for a limit, by reason.",
        "the receiver",
        "reason",
        initial=STREAM_REFUSALS,
    ),
    _counter(
        "bridge_requests_received_total", "Messages received, by kind.", "the receiver", "kind"
    ),
    _gauge("bridge_http_connections", "Open HTTP connections.", "the HTTP server"),
    _counter(
        "bridge_http_refused_total",
        "HTTP connections and requests that were refused or cut, by reason.",
        "the HTTP server",
        "reason",
        initial=HTTP_REFUSALS,
    ),
    _counter(
        "bridge_alerts_received_total",
        "Alerts that Alertmanager has sent, by what became of each.",
        "/api/v1/alertmanager",
        "result",
        initial=ALERT_RESULTS,
    ),
    _counter("bridge_received_bytes_total", "Bytes of messages received.", "the receiver"),
    _counter("bridge_errors_total", "Errors returned to clients, by code.", "the receiver", "code"),
    _counter(
        "bridge_dropped_total",
        "Data that was dropped, by what and why.",
        "wherever a limit is met",
        *("what", "reason"),
    ),
    _histogram(
        "bridge_commit_duration_seconds", "Duration of a commit.", "the committer", COMMIT_BUCKETS
    ),
    _counter(
        "bridge_commit_failures_total",
        "Commits that failed; they are retried.",
        "the committer",
    ),
    _counter(
        "bridge_sessions_taken_total",
        "Sessions that this bridge has become the owner of in a database that bridges share, by why: their client came, or their bridge was dead.",
        "ownership",
        "reason",
        initial=("client", "orphan"),
    ),
    _counter(
        "bridge_sessions_lost_total",
        "Sessions that other bridges have taken from this one.",
        "ownership",
    ),
    _histogram(
        "bridge_takeover_duration_seconds",
        "Time in which sessions that were asked for together became this bridge's, restored in memory.",
        "ownership",
        COMMIT_BUCKETS,
    ),
    _gauge(
        "bridge_ack_on_disk",
        "1 if an update is on the disk of a shared database before it is acknowledged, 0 if it is not; NaN with a folder.",
        "the database, at start",
        is_unknown_at_first=True,
    ),
    _gauge(
        "bridge_ack_standbys",
        "Standbys of a shared database that have an update before it is acknowledged; NaN with a folder.",
        "the database, at start",
        is_unknown_at_first=True,
    ),
    _gauge("bridge_journal_bytes", "Size of the database and its write-ahead log.", "housekeeping"),
    _gauge(
        "bridge_event_loop_lag_seconds",
        "Longest delay of the event loop in the last 15 s.",
        "housekeeping",
    ),
    _histogram(
        "bridge_exposition_duration_seconds",
        "Time to render the training series of /metrics.",
        "/metrics",
        EXPOSITION_BUCKETS,
    ),
    _gauge("bridge_series", "Training series on the last /metrics page.", "/metrics"),
    _gauge(
        "bridge_spool_bytes", "Bytes of images waiting for the object store.", "the image spool"
    ),
    _gauge("bridge_spool_limit_bytes", "Limit of bridge_spool_bytes.", "settings"),
    _gauge(
        "bridge_spool_up",
        "1 while images can be written to the spool; 0: they are dropped; NaN: not checked yet.",
        "the image spool",
        is_unknown_at_first=True,
    ),
    _counter(
        "bridge_spool_remade_total",
        "Times that the spool was missing and was created anew.",
        "the image spool",
    ),
    _counter(
        "bridge_uploads_total",
        "Uploads of shards to the object store, by result.",
        "the uploader",
        "result",
        initial=("stored", "failed"),
    ),
    _histogram(
        "bridge_upload_duration_seconds", "Duration of an upload.", "the uploader", UPLOAD_BUCKETS
    ),
    _counter("bridge_upload_bytes_total", "Bytes uploaded to the object store.", "the uploader"),
    _gauge(
        "bridge_object_store_up",
        "1 if the last upload succeeded; 0 if it failed or hangs; NaN before the first one.",
        "the uploader",
        is_unknown_at_first=True,
    ),
    _gauge(
        "bridge_deletions_pending",
        "Sessions of which something is still to be deleted.",
        "deletions",
    ),
    _counter("bridge_sessions_deleted_total", "Sessions deleted completely.", "deletions"),
    _counter(
        "bridge_attempts_outdated_total",
        "Attempts deleted since their session began more than are kept.",
        "attempts",
    ),
    _counter(
        "bridge_shards_deleted_total",
        "Shards of deleted sessions removed from the object store.",
        "deletions",
    ),
    _counter(
        "bridge_tiles_refused_total",
        "Images that are grey on a contact sheet, by reason: damaged, too_large, too_slow.",
        "contact sheets",
        "reason",
        initial=("damaged", "too_large", "too_slow"),
    ),
    _gauge(
        "bridge_connection_up",
        "1 if the last check of a connection succeeded, 0 if it failed: state_folder, database, object_store, otlp, oidc.",
        "checks of connections",
        "connection",
    ),
    _counter(
        "bridge_spans_total",
        "Spans exported, failed and dropped.",
        "the span exporter",
        "result",
        initial=("exported", "failed", "dropped"),
    ),
    _gauge("bridge_span_outbox", "Spans waiting for the OTLP endpoint.", "the span outbox"),
)
"""All of them, in the order of the page."""
