"""Queries of the boards: written plainly, then narrowed to what the reader of a board has chosen."""

import re
from collections.abc import Mapping
from functools import cache

from bridge.alert_rules.inlined import inlined
from bridge.alert_rules.prometheus import one_line
from bridge.families import BRIDGE_FAMILIES, Type
from bridge.protocol import CANARY_CLIENT
from bridge.sinks.metrics.families import TRAINING_FAMILIES

CHOSEN_BRIDGES = 'job=~"$job", instance=~"$instance"'

CHOSEN_SESSIONS = f'{CHOSEN_BRIDGES}, session_id=~"$session"'

OF_PROMETHEUS = ("up", "scrape_duration_seconds", "scrape_samples_scraped")
"""Series that Prometheus makes of each scrape."""

OF_THE_PROCESS = (
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
)
"""Series of prometheus_client about the process of a bridge."""

RATE_INTERVAL = "[$__rate_interval]"
"""The time that rates are taken over: at least four scrapes, and no less than there is between two points."""

HISTOGRAM_SUFFIXES = ("", "_bucket", "_sum", "_count")

_SELECTOR = re.compile(
    r"(?P<text>\"[^\"]*\")|(?P<name>\b(?<![$:])(?:training_|bridge_|process_|scrape_)\w+\b(?!:)|\bup\b)(?P<matchers>\{[^}]*\})?"
)


@cache
def narrowing(session: str = CHOSEN_SESSIONS) -> Mapping[str, str]:
    """Return, by the name of a series, the matchers that a board adds to its selectors.

    `session`: the matchers of series about a session.
    """
    by_name = dict.fromkeys((*OF_PROMETHEUS, *OF_THE_PROCESS), CHOSEN_BRIDGES)
    for family in (*TRAINING_FAMILIES, *BRIDGE_FAMILIES):
        suffixes = HISTOGRAM_SUFFIXES if family.type is Type.HISTOGRAM else ("",)
        matchers = session if "session_id" in family.labels else CHOSEN_BRIDGES
        by_name |= dict.fromkeys((family.name + suffix for suffix in suffixes), matchers)
    return by_name


def chosen(query: str, *, session: str = CHOSEN_SESSIONS) -> str:
    """Return a query in one line in which every selector has the matchers of the board.

    Raises ValueError where it names a series that no bridge has.
    """
    by_name = narrowing(session)

    def narrow(match: re.Match[str]) -> str:
        if match["text"]:
            return match[0]
        if match["name"] not in by_name:
            raise ValueError(f"no bridge has a series {match['name']!r}: {query}")
        own = (match["matchers"] or "{}")[1:-1].strip()
        return f"{match['name']}{{{', '.join(filter(None, (by_name[match['name']], own)))}}}"

    return _SELECTOR.sub(narrow, one_line(query))


LAST_UPDATE = inlined("training:last_update_timestamp_seconds")
"""When any bridge has heard from each session last, as the rules record it."""

COPY = "on (job, instance, session_id)"
"""What one bridge knows of one session."""


def newest(query: str) -> str:
    """Return a query for the newest copy of each session: that of the bridge that heard from it last."""
    return (
        f"({query}) and {COPY} training_session_last_update_timestamp_seconds"
        f" >= on (session_id) group_left () ({LAST_UPDATE})"
    )


def latest(selector: str) -> str:
    """Return an instant query for the last value within the time shown, of the newest copy of each session.

    It finds what has ended, too, whose series are gone by now.
    """
    return newest_of_range(f"last_over_time({selector}[$__range])")


def newest_of_range(query: str) -> str:
    """Return an instant query for the newest copy of each session within the time shown."""
    heard = "last_over_time(training_session_last_update_timestamp_seconds[$__range])"
    return (
        f"({query}) and {COPY} {heard}"
        f" >= on (session_id) group_left () (max by (session_id) ({heard}))"
    )


def trainings(query: str) -> str:
    """Return a query without the sessions of `trainbridge canary`, which train nothing."""
    return (
        f'({query}) unless on (session_id) training_session_info{{client_name="{CANARY_CLIENT}"}}'
    )


def with_bridge(query: str, *labels: str) -> str:
    """Return a query with the address of the bridge that each series is from as its label `public_url`.

    Links begin with it, since the images of a session are with the bridge that has it. `labels`: others to keep.
    """
    kept = ", ".join(("session_id", *labels, "public_url"))
    return f"max by ({kept}) (({query}) * on (job, instance) group_left (public_url) bridge_build_info)"


def quantile(ratio: float, family: str, *labels: str) -> str:
    """Return a query for a quantile of a histogram by labels, be it classic or native.

    Prometheus keeps either form, or both, whatever the bridge shows. `family`: with matchers of its own, if any.
    """
    name, _, matchers = family.partition("{")
    own = f"{{{matchers}" if matchers else ""
    classic = f"sum by ({', '.join((*labels, 'le'))}) (rate({name}_bucket{own}{RATE_INTERVAL}))"
    native = f"sum by ({', '.join(labels)}) (rate({family}{RATE_INTERVAL}))"
    return f"histogram_quantile({ratio:g}, {classic}) or histogram_quantile({ratio:g}, {native})"


def mean(family: str, *labels: str) -> str:
    """Return the mean of what a histogram observed by labels, be it classic or native."""
    window, by = RATE_INTERVAL, f"sum by ({', '.join(labels)})"
    native = f"{by} (rate({family}{window}))"
    return (
        f"{by} (rate({family}_sum{window})) / ({by} (rate({family}_count{window})) > 0)"
        f" or histogram_sum({native}) / (histogram_count({native}) > 0)"
    )


def buckets(family: str) -> str:
    """Return how much each bucket of a histogram grew, for a heatmap; a native one is drawn from its own buckets."""
    window = RATE_INTERVAL
    return (
        f"sum by (le) (increase({family}_bucket{window})) or on () sum(increase({family}{window}))"
    )


def of_bridges(query: str) -> str:
    """Return a query about scrapes or processes without those of anything but bridges.

    A bridge that does not answer is one for as long as the time shown goes back.
    """
    return f"{query} and on (job, instance) last_over_time(bridge_build_info[$__range])"
