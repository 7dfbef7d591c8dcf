"""What stands out among the ranks of a run, in sentences that say which rank to look at."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import groupby
from statistics import median
from typing import NamedTuple

from bridge.web.formatting import count, duration, percent
from bridge.web.runs.reading import LOCAL_PHASES, RankReading
from bridge.web.runs.view import Rank, RunView

MAX_NAMED = 8
"""Ranks, or ranges of them, that a sentence names."""


class Severity(StrEnum):
    """How much a finding matters; also the end of its CSS class."""

    BAD = "bad"
    NOTABLE = "notable"


class Finding(NamedTuple):
    """Something that stands out."""

    severity: Severity
    text: str


def findings(view: RunView) -> tuple[Finding, ...]:
    """Return what stands out, the most important first."""
    return (
        *_standstill(view),
        *_shared(view),
        *_slow(view),
        *_gpus(view),
        *_disconnected(view),
        *_missing(view),
    )


def ranks_text(ranks: Iterable[int]) -> str:
    """Return "rank 3", or "ranks 0, 4 to 6 and 9" with a dash for "to"; only so many are named."""
    numbers = sorted(ranks)
    runs = [
        [number for _, number in group]
        for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    parts = [
        part
        for run in runs
        for part in (
            [f"{run[0]}\N{EN DASH}{run[-1]}"] if len(run) > 2 else [str(one) for one in run]
        )
    ]
    if len(parts) > MAX_NAMED:
        return f"ranks {', '.join(parts[:MAX_NAMED])} and others, {count(len(numbers))} in all"
    text = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return f"rank {text}" if len(numbers) == 1 else f"ranks {text}"


def _standstill(view: RunView) -> Iterator[Finding]:
    seconds = view.standstill_seconds
    if seconds is None:
        return
    start = f"No rank has taken a step for {duration(seconds)}."
    yield Finding(Severity.BAD, f"{start} {_suspect(view)}")


def _shared(view: RunView) -> Iterator[Finding]:
    if view.shared:
        yield Finding(
            Severity.BAD,
            f"Several sessions say at once that they are {ranks_text(view.shared)} of this run, and only the latest of"
            " them is shown: give each run a name of its own (session_id).",
        )


def _suspect(view: RunView) -> str:
    """Say whom the others wait for."""
    behind, usual = view.behind, view.usual_position or 0
    if not behind:
        phase = f" and busy with {view.usual_phase}" if view.usual_phase else ""
        return (
            f"All are at step {count(usual)}{phase}, so none is behind: look at what all of them use,"
            " such as the network or the storage."
        )
    names = ranks_text(rank.reading.rank for rank in behind)
    verb = "is" if len(behind) == 1 else "are"
    lowest = min(view.position(rank.reading) for rank in behind)
    if lowest < usual:
        return (
            f"{_capital(names)} {verb} at step {count(lowest)}, most others at {count(usual)}:"
            " they wait there."
        )
    phases = sorted({rank.reading.phase for rank in behind})
    return (
        f"{_capital(names)} {verb} busy with {' or '.join(phases)}, most others with"
        f" {view.usual_phase}: they wait there."
    )


def _slow(view: RunView) -> Iterator[Finding]:
    slow = view.slowest
    if slow is None or slow.straggler_ratio is None:
        return
    text = (
        f"Rank {slow.reading.rank} holds up each step by {percent(slow.straggler_ratio)} of the time that"
        " a step takes."
    )
    yield Finding(Severity.BAD, f"{text}{_reason(slow, view)}")


def _reason(slow: Rank, view: RunView) -> str:
    """Say which phase of a slow rank takes more of its time than at the median rank, where one does."""
    shares = slow.reading.phase_shares
    excess = {
        phase: (shares.get(phase, 0.0), _usual_share(view.readings, phase))
        for phase in LOCAL_PHASES
        if phase in shares
    }
    phase = max(excess, key=lambda name: excess[name][0] - excess[name][1], default=None)
    if phase is None or excess[phase][0] <= excess[phase][1]:
        return ""
    own, usual = excess[phase]
    return f" It spends {percent(own)} of its time in {phase}; at the median rank it is {percent(usual)}."


def _usual_share(readings: Iterable[RankReading], phase: str) -> float:
    return median(one.phase_shares.get(phase, 0.0) for one in readings)


def _gpus(view: RunView) -> Iterator[Finding]:
    running = [one for one in view.readings if one.is_live]
    throttled = {one.rank: slowing for one in running if (slowing := _slowing(one))}
    if throttled:
        reasons = sorted(set().union(*throttled.values()))
        yield Finding(
            Severity.NOTABLE,
            f"GPUs of {ranks_text(throttled)} are throttled: {', '.join(reasons)}.",
        )
    faulty = [one for one in running if one.gpus.errors]
    if faulty:
        yield Finding(
            Severity.NOTABLE,
            f"GPUs of {ranks_text(one.rank for one in faulty)} have reported memory or XID errors;"
            " the kernel's log of the machine names them.",
        )


def _slowing(reading: RankReading) -> set[str]:
    """Return why GPUs of a rank are slower than their like; at its power limit one usually is under full load."""
    return set(reading.gpus.throttle_reasons or ()) - {"power"}


def _disconnected(view: RunView) -> Iterator[Finding]:
    away = [one.rank for one in view.readings if one.is_live and not one.is_connected]
    if away and view.connected:
        yield Finding(
            Severity.NOTABLE,
            f"{_capital(ranks_text(away))} {'is' if len(away) == 1 else 'are'} not connected.",
        )


def _missing(view: RunView) -> Iterator[Finding]:
    if len(view.readings) > 1 and view.missing:
        names = ranks_text(view.missing)
        has = "has" if len(view.missing) == 1 else "have"
        yield Finding(
            Severity.NOTABLE,
            f"{_capital(names)} of {count(view.world_size)} {has} never registered at this bridge.",
        )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
