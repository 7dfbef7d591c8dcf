"""Panels of the bridge board: whether bridges are well, and what comes in."""

from grafana.panels import PER_SECOND, Query, named_values, stat, state_timeline, timeseries
from grafana.promql import of_bridges, quantile

FILLED = ((None, "transparent"), (0.8, "orange"), (0.95, "red"))
"""How much of a limit is in use."""

WORRYING = ((None, "green"), (0.0001, "red"))
"""Of what should be zero."""

UP = named_values((0, "down", "red"), (1, "up", "green"))

AT_A_GLANCE = (
    stat(
        "Up",
        "Bridges that answer the scrape, of all that were scraped within the time shown. Red: one does not. See whether it runs, and whether Prometheus can reach it.",
        f"sum({of_bridges('up')}) / count({of_bridges('up')})",
        unit="percentunit",
        steps=((None, "red"), (1, "green")),
        defaults={"decimals": 0, "min": 0, "max": 1},
    ),
    stat(
        "Sessions",
        "Sessions that are live: registered and not over, connected or not. Which ones is on the fleet board.",
        'sum(bridge_sessions{state="live"})',
        sparkline=True,
        unit="short",
    ),
    stat(
        "Room used",
        "Sessions in memory, of those that the fullest bridge may hold (--max-sessions); ended ones count for as long as they linger. A full bridge refuses new ones.",
        "max(sum by (instance) (bridge_sessions) / (max by (instance) (bridge_sessions_limit) > 0))",
        unit="percentunit",
        steps=((None, "green"), (0.8, "orange"), (0.95, "red")),
        defaults={"min": 0, "decimals": 0},
    ),
    stat(
        "Errors",
        "Messages that were answered with an error in a second, such as invalid ones. Above zero: see Errors by code below, and the log.",
        "sum(rate(bridge_errors_total[$__rate_interval])) or vector(0)",
        unit=PER_SECOND,
        steps=WORRYING,
        sparkline=True,
    ),
    stat(
        "Dropped",
        "What was left out at a limit in a second. Above zero: see Dropped by reason below.",
        "sum(rate(bridge_dropped_total[$__rate_interval])) or vector(0)",
        unit=PER_SECOND,
        steps=WORRYING,
        sparkline=True,
    ),
    stat(
        "Commit p99",
        "How long the slowest of a hundred commits takes. No trainer hears that its data is safe before; near a second, the disk of the state folder, or the PostgreSQL that bridges share, is too slow.",
        quantile(0.99, "bridge_commit_duration_seconds"),
        unit="s",
        steps=((None, "green"), (0.5, "orange"), (1, "red")),
        sparkline=True,
    ),
    stat(
        "Spool filled",
        "How full the fullest spool is: images that wait for the object store. From 90 % on most are left out, from 95 % all.",
        "max(bridge_spool_bytes / (bridge_spool_limit_bytes > 0))",
        unit="percentunit",
        steps=((None, "green"), (0.5, "orange"), (0.9, "red")),
        defaults={"min": 0, "max": 1, "decimals": 0},
    ),
    stat(
        "Spans queued",
        "Spans that wait for the OTLP endpoint, of all bridges. Rising: the endpoint is down or too slow; see Spans below.",
        "sum(bridge_span_outbox)",
        unit="short",
        sparkline=True,
    ),
    state_timeline(
        "Up and connected",
        "Whether each bridge answers the scrape, and how the last check of each of its connections went: the state folder, the object store, the OTLP endpoint. Where one is red, the bridge's log and /readyz?verbose say why.",
        Query(f"max by (instance) ({of_bridges('up')})", "{{instance}}"),
        Query(
            "max by (instance, connection) (bridge_connection_up)", "{{instance}} {{connection}}"
        ),
        height=7,
        mappings=UP,
    ),
)

PANELS = (
    timeseries(
        "Messages",
        "Messages that trainers sent in a second, by kind. What falls to nothing while sessions run does not arrive: look at Streams.",
        Query("sum by (kind) (rate(bridge_requests_received_total[$__rate_interval]))", "{{kind}}"),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Bytes received",
        "Bytes of messages, images included, that each bridge received in a second. Images are most of it: send fewer or smaller ones where the network is short.",
        Query(
            "sum by (instance) (rate(bridge_received_bytes_total[$__rate_interval]))",
            "{{instance}}",
        ),
        unit="Bps",
        defaults={"min": 0},
    ),
    timeseries(
        "Streams",
        "Open streams of each bridge; a stream stays where it is until it ends. Far apart for long: something sends new connections to one of them.",
        Query("sum by (instance) (bridge_streams)", "{{instance}}"),
        defaults={"min": 0},
        unit="short",
    ),
    timeseries(
        "Sessions by stage",
        "Sessions in memory: live ones, ended ones that linger, and lost ones that may come back. How much room they leave is above, as Room used.",
        Query("sum by (state) (bridge_sessions)", "{{state}}"),
        unit="short",
        defaults={"min": 0},
    ),
    timeseries(
        "Session events",
        "Registrations, connections and ends of sessions in a minute. Many connections of few sessions: something between trainers and bridge cuts streams, such as a proxy with an idle timeout.",
        Query(
            "sum by (event) (rate(bridge_session_events_total[$__rate_interval])) * 60",
            "{{event}}",
        ),
        unit="suffix:/min",
        defaults={"min": 0},
    ),
    timeseries(
        "Streams refused",
        "Streams and registrations that were refused or ended for a limit, and those asked to move to the bridge where their session began. Raise the limit that is named, or look at the client that the log names.",
        Query(
            "sum by (reason) (rate(bridge_streams_refused_total[$__rate_interval]))",
            "refused: {{reason}}",
        ),
        Query("sum(rate(bridge_streams_rebalanced_total[$__rate_interval]))", "rebalanced"),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Errors by code",
        "Messages that were answered with an error. The log says what was wrong with them and from which session they were.",
        Query("sum by (code) (rate(bridge_errors_total[$__rate_interval]))", "{{code}}"),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Dropped by reason",
        "What was left out, and at which limit or for what fault. The log has a line on each, with what to do.",
        Query(
            "sum by (what, reason) (rate(bridge_dropped_total[$__rate_interval]))",
            "{{what}}: {{reason}}",
        ),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "HTTP refused",
        "HTTP connections and requests that were refused or cut, by reason: too many (--http-max-connections), too slow, or not HTTP. For the last two look at who sends them.",
        Query(
            "sum by (reason) (rate(bridge_http_refused_total[$__rate_interval]))",
            "{{reason}}",
        ),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Commit duration",
        "How long the disk, or the PostgreSQL that bridges share, takes; no trainer hears that its data is safe before. Near a second: see what it waits for.",
        Query(quantile(0.99, "bridge_commit_duration_seconds", "instance"), "{{instance}} p99"),
        Query(quantile(0.5, "bridge_commit_duration_seconds", "instance"), "{{instance}} p50"),
        unit="s",
        defaults={"min": 0},
    ),
    timeseries(
        "Commits failed",
        "Commits that failed; each is tried again, and nothing in it is acknowledged before. Most often the disk is full, or the PostgreSQL that bridges share is away: see the log.",
        Query(
            "sum by (instance) (rate(bridge_commit_failures_total[$__rate_interval]))",
            "{{instance}}",
        ),
        unit=PER_SECOND,
        defaults={"min": 0},
    ),
    timeseries(
        "Database",
        "Size of the database and its write-ahead log. It follows the number of sessions that are kept: --sessions-keep and --sessions-keep-days.",
        Query("max by (instance) (bridge_journal_bytes)", "{{instance}}"),
        unit="bytes",
        defaults={"min": 0},
    ),
)
