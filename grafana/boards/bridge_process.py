"""Panels of the bridge board: the process of each bridge, and what it costs to scrape it."""

from grafana.boards.bridge_receiving import FILLED
from grafana.panels import Query, override, table, timeseries
from grafana.promql import of_bridges, quantile
from grafana.transformations import joined

PANELS = (
    timeseries(
        "CPU",
        "Cores that each bridge uses. Its event loop has one of them: near one, give it fewer sessions, or add a bridge.",
        Query(
            f"sum by (instance) ({of_bridges('rate(process_cpu_seconds_total[$__rate_interval])')})",
            "{{instance}}",
        ),
        unit="suffix: cores",
        defaults={"min": 0},
    ),
    timeseries(
        "Event loop lag",
        "The longest delay of the event loop in 15 s: for so long nothing was read or answered. Above a tenth of a second for long: the machine is too busy.",
        Query("max by (instance) (bridge_event_loop_lag_seconds)", "{{instance}}"),
        unit="s",
        defaults={"min": 0},
    ),
    timeseries(
        "Memory",
        "Resident memory of each bridge. It follows the number of sessions; what grows while those do not is worth a report.",
        Query(f"max by (instance) ({of_bridges('process_resident_memory_bytes')})", "{{instance}}"),
        unit="bytes",
        defaults={"min": 0},
    ),
    timeseries(
        "File descriptors",
        "Open file descriptors, of those that the process may have. Each stream and each page takes one; raise the limit (ulimit -n, LimitNOFILE) before it is reached.",
        Query(
            f"max by (instance) ({of_bridges('process_open_fds / (process_max_fds > 0)')})",
            "{{instance}}",
        ),
        unit="percentunit",
        steps=FILLED,
        defaults={"min": 0, "max": 1},
        custom={"thresholdsStyle": {"mode": "line"}},
    ),
    timeseries(
        "HTTP connections",
        "Open connections of browsers, Prometheus and Grafana. Near --http-max-connections, close open pages or raise it: those above it are refused.",
        Query("max by (instance) (bridge_http_connections)", "{{instance}}"),
        unit="short",
        defaults={"min": 0},
    ),
    timeseries(
        "Scrape",
        "How long a scrape takes, as Prometheus sees it, and how much of that is the rendering of the training series. Past the scrape timeout the bridge counts as down.",
        Query(f"max by (instance) ({of_bridges('scrape_duration_seconds')})", "{{instance}}"),
        Query(
            quantile(0.99, "bridge_exposition_duration_seconds", "instance"),
            "{{instance}} rendering p99",
        ),
        unit="s",
        defaults={"min": 0},
    ),
    timeseries(
        "Series",
        "Training series on the last page of each bridge; --max-sessions bounds them.",
        Query("max by (instance) (bridge_series)", "{{instance}}"),
        unit="short",
        defaults={"min": 0},
    ),
    timeseries(
        "Samples scraped",
        "Samples that Prometheus took from each bridge in one scrape: training series and the bridge's own. A sample_limit of the scrape has to lie above.",
        Query(f"max by (instance) ({of_bridges('scrape_samples_scraped')})", "{{instance}}"),
        unit="short",
        defaults={"min": 0},
    ),
    timeseries(
        "Largest families",
        "The ten names with the most training series, of all bridges: where to save when Prometheus runs short.",
        Query(
            'topk(10, count by (__name__) ({job=~"$job", instance=~"$instance", __name__=~"training_.+"}))',
            "{{__name__}}",
        ),
        unit="short",
        defaults={"min": 0},
    ),
    table(
        "Bridges",
        "Version and address of each bridge, since when it runs, and how often it has restarted within the time shown. Different versions for long: an update has not gone through.",
        "max by (instance, version, public_url) (bridge_build_info)",
        f"max by (instance) ({of_bridges('process_start_time_seconds * 1000')})",
        f"max by (instance) ({of_bridges('changes(process_start_time_seconds[$__range])')})",
        height=7,
        overrides=(
            override("Since", unit="dateTimeFromNow"),
            override("Restarts", unit="short", decimals=0),
            override(
                "Address",
                links=[{"title": "Its pages", "url": "${__value.text}/", "targetBlank": True}],
            ),
        ),
        transformations=joined(
            "instance",
            {
                "instance": "Bridge",
                "version": "Version",
                "Value #B": "Since",
                "Value #C": "Restarts",
                "public_url": "Address",
            },
        ),
    ),
)
