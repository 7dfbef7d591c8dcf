"""The families that the bridge tells of itself, as data: what `bridge.telemetry` registers."""

from bridge.sinks.metrics.families import Family, Type
from bridge.telemetry import COMMIT_BUCKETS, EXPOSITION_BUCKETS, UPLOAD_BUCKETS


def _gauge(name: str, help: str, source: str, *labels: str) -> Family:
    return Family(name, Type.GAUGE, help, source, labels)


def _counter(name: str, help: str, source: str, *labels: str) -> Family:
    return Family(name, Type.COUNTER, help, source, labels)


def _histogram(name: str, help: str, source: str, buckets: tuple[float, ...]) -> Family:
    return Family(name, Type.HISTOGRAM, help, source, buckets=buckets)


BRIDGE_FAMILIES = (
    _gauge(
        "bridge_build_info",
        "Version and address of this bridge.",
        "settings; dashboards read public_url for their links",
        *("version", "public_url"),
    ),
    _gauge("bridge_sessions", "Sessions held in memory, by phase.", "the registry", "state"),
    _gauge("bridge_streams", "Open gRPC streams.", "the receiver"),
    _counter(
        "bridge_requests_received_total", "Messages received, by kind.", "the receiver", "kind"
    ),
    _counter("bridge_received_bytes_total", "Bytes of messages received.", "the receiver"),
    _counter("bridge_errors_total", "Errors answered to clients, by code.", "the receiver", "code"),
    _counter(
        "bridge_dropped_total",
        "Things lost, by what and why.",
        "wherever a limit is met",
        *("what", "reason"),
    ),
    _histogram(
        "bridge_commit_duration_seconds", "Time of one commit.", "the pipeline", COMMIT_BUCKETS
    ),
    _counter(
        "bridge_commit_failures_total",
        "Commits that the disk refused; they are tried again.",
        "the pipeline",
    ),
    _gauge("bridge_journal_bytes", "Size of the database.", "the pipeline"),
    _gauge(
        "bridge_event_loop_lag_seconds", "Longest delay of the event loop lately.", "the service"
    ),
    _histogram(
        "bridge_exposition_duration_seconds",
        "Time to render /metrics.",
        "/metrics",
        EXPOSITION_BUCKETS,
    ),
    _gauge("bridge_series", "Training series on the last /metrics page.", "/metrics"),
    _gauge("bridge_spool_bytes", "Image bytes waiting for the object store.", "the image spool"),
    _gauge("bridge_spool_limit_bytes", "Image bytes that may wait.", "settings"),
    _gauge(
        "bridge_spool_up",
        "1: images can be written to the spool; 0: they cannot, and are dropped.",
        "the image spool",
    ),
    _counter(
        "bridge_spool_remade_total",
        "Times that the spool was missing and was made anew.",
        "the image spool",
    ),
    _counter(
        "bridge_uploads_total",
        "Shards offered to the object store, by result.",
        "the uploader",
        "result",
    ),
    _histogram(
        "bridge_upload_duration_seconds", "Time of one upload.", "the uploader", UPLOAD_BUCKETS
    ),
    _counter("bridge_upload_bytes_total", "Bytes stored in the object store.", "the uploader"),
    _gauge("bridge_object_store_up", "1: the last upload succeeded; 0: it failed.", "the uploader"),
    _counter("bridge_spans_total", "Spans, by result.", "the span exporter", "result"),
    _gauge("bridge_span_outbox", "Spans waiting for the OTLP endpoint.", "the span outbox"),
)
"""Series of this bridge, in the order of the page."""
