"""The series of the bridge itself, made from the table of families."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from bridge.families import BRIDGE_FAMILIES, Family, Type

disable_created_metrics()  # type: ignore[no-untyped-call]


class Instruments:
    """Holds what counts and measures, by the name of its family."""

    def __init__(self) -> None:
        """Start every count at 0, and what is still to be measured as NaN."""
        self.registry = CollectorRegistry(auto_describe=False)
        self.counters: dict[str, Counter] = {}
        self.gauges: dict[str, Gauge] = {}
        self.histograms: dict[str, Histogram] = {}
        for family in BRIDGE_FAMILIES:
            self._register(family)

    def _register(self, family: Family) -> None:
        name, text, registry = family.name, family.help, self.registry
        match family.type:
            case Type.COUNTER:
                counter = self.counters[name] = Counter(
                    name, text, family.labels, registry=registry
                )
                for value in family.initial:
                    counter.labels(value)
            case Type.GAUGE:
                gauge = self.gauges[name] = Gauge(name, text, family.labels, registry=registry)
                if family.is_unknown_at_first:
                    gauge.set(math.nan)
            case Type.HISTOGRAM:
                buckets = family.buckets
                self.histograms[name] = Histogram(name, text, buckets=buckets, registry=registry)
