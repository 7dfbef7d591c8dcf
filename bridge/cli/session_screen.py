"""One session as one screen of text."""

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.cli.terminal import STATE_COLOURS, coloured, cut, progress_bar, sparkline, width
from bridge.client.query_logged import Annotation, LoggedEvent
from bridge.client.query_types import GpuUsage, SessionDetails, SubmittedCommand

NEWEST = 5
"""Events, commands and alerts on the screen."""

LABEL = 11
AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (0, "s"))
GIBIBYTE = 2**30


@dataclass(frozen=True, slots=True)
class Shown:
    """What the screen is drawn from."""

    session: SessionDetails
    events: tuple[LoggedEvent, ...] = ()
    commands: tuple[SubmittedCommand, ...] = ()
    alerts: tuple[Annotation, ...] = ()


def screen(shown: Shown, now: float | None = None) -> str:
    """Return the screen: lines that fit into the terminal; what was not reported is left out."""
    now = time.time() if now is None else now
    session, letters = shown.session, width()
    name = cut(session.session_id, letters // 2)
    state = coloured(session.state, STATE_COLOURS.get(session.state))
    connected = "connected" if session.connected else "not connected"
    lines = [
        f"{coloured(name, 'bold')}  {state}, {connected}, heard of {age(now - session.updated_at)}"
    ]
    for label, text in (*_rows(session), *_histories(shown, now)):
        lines.append(f"{label:<{LABEL}}{cut(text, letters - LABEL)}".rstrip())
    return "\n".join(lines) + "\n"


def age(seconds: float) -> str:
    """Return how long ago something was."""
    return f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """Return a duration in its largest unit."""
    whole = max(0, int(seconds)) if math.isfinite(seconds) else 0
    length, unit = next(each for each in AGES if whole >= each[0])
    return f"{whole // length if length else whole} {unit}"


def number(value: float | None) -> str:
    """Return a number as people read it; "-" where it was not reported."""
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else json.dumps(value)


def place_of(epoch: int | None, batch: int | None, step: int | None = None) -> str:
    """Return where in the training something was."""
    parts = (("epoch", epoch), ("batch", batch), ("step", step))
    return ", ".join(f"{name} {value}" for name, value in parts if value is not None)


def outcome_of(command: SubmittedCommand) -> str:
    """Return how far a command has come, in one line."""
    result = command.result
    if result is None:
        return f"{command.state}: {command.note}" if command.note else command.state
    message = f": {result.message}" if result.message else ""
    return f"{command.state} at {place_of(result.epoch, result.batch)}{message}"


def asked_for(type: str, parameters: Mapping[str, str]) -> str:
    """Return a command with its parameters."""
    return " ".join((type, *(f"{name}={value}" for name, value in parameters.items())))


def progress_of(session: SessionDetails) -> str:
    """Return how far a session is, and how long it will take."""
    bar = "" if session.progress_ratio is None else progress_bar(session.progress_ratio)
    ratio = "" if session.progress_ratio is None else f"{session.progress_ratio:.0%}"
    epoch = _of_total("epoch", session.epoch, session.total_epochs)
    step = _of_total("step", session.step, session.total_steps)
    batch = _of_total("batch", session.batch, session.batches_per_epoch)
    left = session.estimated_time_remaining_seconds
    remaining = f"{duration(left)} left" if left is not None and session.stage == "live" else ""
    place = ", ".join(part for part in (epoch, batch, step, remaining) if part)
    return "  ".join(part for part in (bar, ratio, place) if part)


def _rows(session: SessionDetails) -> Iterator[tuple[str, str]]:
    what = (session.model_name, session.dataset_name)
    rows = {
        "run": " on ".join(name for name in what if name),
        "page": session.url,
        "message": session.status_message or "",
        "phase": session.phase or "",
        "progress": progress_of(session),
        "loss": _loss(session),
        "accuracy": "" if session.accuracy_ratio is None else f"{session.accuracy_ratio:.2%}",
        "speed": _speed(session),
        "left out": "something that its client sent has not come" if session.is_partial else "",
    }
    yield from ((label, text) for label, text in rows.items() if text)
    resources = session.performance and session.performance.resources
    for gpu in resources.gpus if resources else ():
        yield f"gpu {gpu.index}", _gpu(gpu)
    if len(session.attempts) > 1:
        yield from _labelled(
            "attempts",
            [f"{one.attempt} {one.state}, {one.batches} batches" for one in session.attempts],
        )


def _loss(session: SessionDetails) -> str:
    if session.loss is None:
        return ""
    lows = [part.low for part in session.losses if part.low is not None]
    best = f"best {number(min(lows))}" if lows else ""
    curve = sparkline([part.mean for part in session.losses])
    return "  ".join(part for part in (number(session.loss), curve, best) if part)


def _speed(session: SessionDetails) -> str:
    speed, report = session.frames_per_second, session.performance
    took = report.batch_duration_seconds if report else None
    parts = (
        None if speed is None else f"{number(speed)} frames/s",
        None if took is None else f"{number(took * 1000)} ms a batch",
    )
    return ", ".join(part for part in parts if part)


def _gpu(gpu: GpuUsage) -> str:
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    of_all = "" if total is None else f" of {total / GIBIBYTE:.1f}"
    parts = (
        None if gpu.utilization_ratio is None else f"{gpu.utilization_ratio:.0%}",
        None if used is None else f"{used / GIBIBYTE:.1f}{of_all} GiB",
        None if gpu.temperature_celsius is None else f"{gpu.temperature_celsius:.0f} C",
        None if gpu.power_watts is None else f"{gpu.power_watts:.0f} W",
        f"slowed down: {', '.join(gpu.throttle_reasons)}" if gpu.throttle_reasons else None,
    )
    return ", ".join(part for part in parts if part) or "nothing reported"


def _histories(shown: Shown, now: float) -> Iterator[tuple[str, str]]:
    alerts = sorted(shown.alerts, key=lambda alert: alert.time)
    yield from _labelled(
        "alerts",
        [
            f"{age(now - alert.time / 1000)}  {alert.title}{'' if alert.time_end is None else ', over'}"
            for alert in alerts[-NEWEST:]
        ],
    )
    yield from _labelled(
        "events",
        [
            f"{age(now - event.at)}  {event.level} {event.name} {event.message or ''}"
            for event in shown.events[-NEWEST:]
        ],
    )
    yield from _labelled(
        "commands",
        [
            f"{age(now - one.asked_at)}  {asked_for(one.type, one.parameters)}  {outcome_of(one)}"
            for one in shown.commands[-NEWEST:]
        ],
    )


def _labelled(label: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for position, line in enumerate(lines):
        yield (label if position == 0 else ""), line


def _of_total(name: str, value: int | None, total: int | None) -> str:
    if value is None:
        return ""
    return f"{name} {value}/{total}" if total else f"{name} {value}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)) for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)
