"""What a Prometheus that scrapes all bridges has seen of the sessions, and whether its sums are right."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from support.prometheus import ABOUT_TRAININGS, SCRAPE_SECONDS, Prometheus

COUNTER = "training_batches_total"

Sample = tuple[float, float, str]
"""When, how much, and which bridge said so."""


@dataclass
class Scraped:
    """All samples of one counter, by session."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    doubled: dict[str, float] = field(default_factory=dict)
    """For how long at a stretch a session stood on more than one bridge, in seconds."""
    increases: dict[str, float] = field(default_factory=dict)
    """What increase() says of each session, over all of its time."""
    alerts: dict[str, int] = field(default_factory=dict)
    """Alerts about trainings that fired, and for how many evaluations."""

    def gaps(self) -> dict[str, list[tuple[float, float]]]:
        """Return from when to when each session was on no bridge that was scraped, longer than from one scrape to the next."""
        found = {}
        for name, samples in self.samples.items():
            times = sorted(at for at, _, _ in samples)
            found[name] = [
                (before, after)
                for before, after in pairwise(times)
                if after - before > 1.5 * SCRAPE_SECONDS
            ]
        return found

    def resets(self) -> dict[str, list[tuple[float, float, float]]]:
        """Return when the highest value of a session fell, from what and to what: increase() takes that for a restart at 0."""
        found: dict[str, list[tuple[float, float, float]]] = {}
        for name, samples in self.samples.items():
            steps = _highest(samples)
            falls = [
                (at, before, after)
                for (_, before), (at, after) in pairwise(steps)
                if after < before
            ]
            if falls:
                found[name] = falls
        return found

    def differences(self, expected: Mapping[str, int]) -> dict[str, tuple[float, float]]:
        """Return the sessions whose last value, or whose increase() since the first, is not what was counted."""
        found = {}
        for name, count in expected.items():
            samples = sorted(self.samples.get(name, [(0.0, 0.0, "")]))
            first, last = samples[0][1], max(samples)[1]
            increase = self.increases.get(name, 0.0)
            # Prometheus extrapolates to both ends of the range by half an interval at most.
            seconds = max(samples[-1][0] - samples[0][0], 1.0)
            slack = 2 + 3 * SCRAPE_SECONDS * (last - first) / seconds
            if last != count or abs(increase - (last - first)) > slack:
                found[name] = (last, increase)
        return found


def read_scraped(prometheus: Prometheus, since: float) -> Scraped:
    """Return everything that was scraped since a time; raises AssertionError if Prometheus refuses to say."""
    seconds = int(time.time() - since) + 1
    samples = defaultdict(list)
    for series in prometheus.query(f"{COUNTER}[{seconds}s]"):
        labels = series["metric"]
        samples[labels["session_id"]] += [
            (at, float(value), labels["instance"]) for at, value in series["values"]
        ]
    return Scraped(
        dict(samples),
        _doubled(prometheus, seconds),
        _by_session(
            prometheus.query(
                f"increase((max by (session_id) ({COUNTER}))[{seconds}s:{SCRAPE_SECONDS}s])"
            )
        ),
        {
            f"{one['metric']['alertname']} {one['metric'].get('session_id', '')}": int(
                one["value"][1]
            )
            for one in prometheus.query(
                f'count_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])'
            )
            if _is_about_training(prometheus, one["metric"]["alertname"])
        },
    )


def _is_about_training(prometheus: Prometheus, name: str) -> bool:
    return any(
        rule["name"] == name
        for group in prometheus.rules()
        if group["name"] in ABOUT_TRAININGS
        for rule in group["rules"]
    )


def _doubled(prometheus: Prometheus, seconds: int) -> dict[str, float]:
    """Both bridges are scraped at moments of their own, so a session that moves may be on two for one interval."""
    rows = prometheus.query(
        f"(count by (session_id) ({COUNTER}) > 1)[{seconds}s:{SCRAPE_SECONDS}s]"
    )
    found = {}
    for row in rows:
        times = [at for at, _ in row["values"]]
        longest = began = 0.0
        before = None
        for at in times:
            began = at if before is None or at - before > 1.5 * SCRAPE_SECONDS else began
            before = at
            longest = max(longest, at - began + SCRAPE_SECONDS)
        found[row["metric"]["session_id"]] = longest
    return found


def _by_session(rows: list[dict]) -> dict[str, float]:
    return {row["metric"]["session_id"]: float(row["value"][1]) for row in rows}


def _highest(samples: list[Sample]) -> list[tuple[float, float]]:
    """Return the highest value at each moment: of what each bridge said last, not longer ago than a scrape."""
    latest: dict[str, tuple[float, float]] = {}
    steps = []
    for at, value, instance in sorted(samples):
        latest[instance] = (at, value)
        fresh = [number for seen, number in latest.values() if at - seen < 1.5 * SCRAPE_SECONDS]
        steps.append((at, max(fresh)))
    return steps
