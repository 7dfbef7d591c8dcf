"""Panels of the bridge board: images on their way to the store, and spans on theirs."""

from grafana.boards.bridge_receiving import UP
from grafana.panels import PER_SECOND, Query, override, state_timeline, timeseries
from grafana.promql import CHOSEN_BRIDGES, quantile

RED = {"mode": "fixed", "fixedColor": "red"}
GREEN = {"mode": "fixed", "fixedColor": "green"}

PANELS = (
    timeseries(
        "Spool",
        "How full the room for images is that wait for the object store. From 90 % on most are left out, from 95 % all.",
        Query(
            "max by (instance) (bridge_spool_bytes / (bridge_spool_limit_bytes > 0))",
            "{{instance}}",
        ),
        unit="percentunit",
        steps=((None, "transparent"), (0.9, "orange"), (0.95, "red")),
        defaults={"min": 0, "max": 1},
        custom={"thresholdsStyle": {"mode": "line"}},
    ),
    timeseries(
        "Uploads",
        "Shards of images that went to the object store, or did not. What failed is tried again.",
        Query("sum by (result) (rate(bridge_uploads_total[$__rate_interval]))", "{{result}}"),
        unit=PER_SECOND,
        defaults={"min": 0},
        overrides=(override("stored", color=GREEN), override("failed", color=RED)),
    ),
    timeseries(
        "Upload duration",
        "How long an upload takes. Where it nears the time between two shards, the spool grows: look at the network and the store.",
        Query(quantile(0.95, "bridge_upload_duration_seconds", "instance"), "{{instance}} p95"),
        unit="s",
        defaults={"min": 0},
    ),
    timeseries(
        "Bytes uploaded",
        "Bytes that each bridge gave to the object store in a second. Too many: keep images of fewer batches (--images-keep).",
        Query(
            "sum by (instance) (rate(bridge_upload_bytes_total[$__rate_interval]))",
            "{{instance}}",
        ),
        unit="Bps",
        defaults={"min": 0},
    ),
    timeseries(
        "Images by result",
        "Images of all sessions in a second, by what became of them. Sampled out is on purpose (--images-keep); dropped has a reason in Dropped by reason.",
        Query(
            "sum by (result) (rate(training_images_total[$__rate_interval]))",
            "{{result}}",
            session=CHOSEN_BRIDGES,
        ),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Grey tiles",
        "Images that are grey on a contact sheet: damaged, too large, or too slow to decode. Trainers send better ones.",
        Query("sum by (reason) (rate(bridge_tiles_refused_total[$__rate_interval]))", "{{reason}}"),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Spans",
        "Spans that went to the OTLP endpoint, were refused by it, or were dropped for lack of room. Failed ones are tried again.",
        Query("sum by (result) (rate(bridge_spans_total[$__rate_interval]))", "{{result}}"),
        unit=PER_SECOND,
        defaults={"min": 0},
        overrides=(
            override("exported", color=GREEN),
            override("failed", color={"mode": "fixed", "fixedColor": "orange"}),
            override("dropped", color=RED),
        ),
    ),
    timeseries(
        "Spans waiting",
        "Spans that wait for the OTLP endpoint. They survive a restart; what exceeds the room of the outbox is dropped, oldest first. Rising: the endpoint is down or too slow; the log says what it answers.",
        Query("max by (instance) (bridge_span_outbox)", "{{instance}}"),
        unit="short",
        defaults={"min": 0},
    ),
    timeseries(
        "Deletions",
        "Sessions of which something is still to be deleted. What stays above zero waits for the object store.",
        Query("max by (instance) (bridge_deletions_pending)", "{{instance}}"),
        unit="short",
        defaults={"min": 0},
    ),
    state_timeline(
        "Spool and store",
        "Whether images can be written to the spool, and whether the last upload succeeded. Red: they are dropped, or wait. Empty: nothing was written yet.",
        Query("max by (instance) (bridge_spool_up)", "{{instance}} spool"),
        Query("max by (instance) (bridge_object_store_up)", "{{instance}} store"),
        height=6,
        mappings=UP,
    ),
)
