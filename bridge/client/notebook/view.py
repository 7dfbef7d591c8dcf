"""What the panel of a session shows, read from the parts that know it."""

import math
import time
from collections import deque
from dataclasses import dataclass

from bridge.client.calls import StatusCall
from bridge.client.command import Command
from bridge.client.commands import CommandInbox
from bridge.client.delivery.transport import Transport
from bridge.client.notebook.progress import Progress
from bridge.client.stats import Stats
from bridge.protocol import COMMAND_WORDS, Status

MOST_COMMANDS = 5
MOST_LEFT_OUT = 4
RATE_SECONDS = 5.0
"""Speed is measured over about so long."""

EXPECTED = ("images: sampled out",)
"""What is left out of every run that works as it should."""

GOOD, BUSY, WARNING, BAD, QUIET = "good", "busy", "warning", "bad", "quiet"

WORDS = {command: word for word, command in COMMAND_WORDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelView:
    """Everything that one drawing of the panel shows; "" and None: not known."""

    name: str
    url: str | None = None
    state: str
    tone: str = QUIET
    """How the state is to be taken: good, busy, warning, bad or quiet."""
    place: str = ""
    ratio: float | None = None
    loss: float | None = None
    curve: tuple[float, ...] = ()
    speed: str = ""
    commands: tuple[str, ...] = ()
    """The newest ones with their answers."""
    left_out: tuple[str, ...] = ()


class Speed:
    """Batches and samples a second, over the last few seconds."""

    def __init__(self) -> None:
        """Start without a measurement."""
        self._readings: deque[tuple[float, int, int]] = deque(maxlen=64)

    def text(self, now: float, batches: int, samples: int) -> str:
        """Take a reading of both counts, and return the speed for people; "" while none is known."""
        readings = self._readings
        readings.append((now, batches, samples))
        while len(readings) > 2 and readings[0][0] < now - RATE_SECONDS:
            readings.popleft()
        before, batches_before, samples_before = readings[0]
        passed = now - before
        if passed <= 0 or batches == batches_before:
            return ""
        texts = [f"{_rate((batches - batches_before) / passed)} batches/s"]
        if samples > samples_before:
            texts.append(f"{_rate((samples - samples_before) / passed)} samples/s")
        return " · ".join(texts)


class Observer:
    """Reads what there is to show of one session."""

    def __init__(self, progress: Progress, transport: Transport, commands: CommandInbox) -> None:
        """Read from these parts."""
        self._progress = progress
        self._transport = transport
        self._commands = commands
        self._speed = Speed()

    def view(self, stats: Stats, *, is_over: bool) -> PanelView:
        """Return what there is to show now."""
        progress = self._progress
        state, tone = self._state(stats, is_over=is_over)
        speed = self._speed.text(time.monotonic(), progress.batches, progress.samples)
        return PanelView(
            name=self._transport.session_id,
            url=self._transport.page_url,
            state=state,
            tone=tone,
            place=progress.place_text(),
            ratio=progress.ratio(),
            loss=progress.loss,
            curve=progress.curve.points(),
            speed="" if is_over else speed,
            commands=tuple(map(_command_text, self._commands.received[-MOST_COMMANDS:])),
            left_out=_left_out(stats, is_over=is_over),
        )

    def _state(self, stats: Stats, *, is_over: bool) -> tuple[str, str]:
        status = self._progress.status
        if status is not None and status.status.is_end:
            return _end(status)
        if is_over:
            return "closed", QUIET
        failure = self._transport.failure
        if not stats.connected and failure is not None:
            return f"not connected: {failure.reason}", WARNING
        if not stats.connected and not stats.connections:
            return "connecting", BUSY
        if status is None:
            return "connected", BUSY
        return status.status.name.lower(), WARNING if status.status is Status.PAUSED else BUSY


def _end(call: StatusCall) -> tuple[str, str]:
    word = call.ending or call.status.name.lower()
    text = f"{word}: {call.message}" if call.message else word
    is_good = call.status is Status.COMPLETED
    return text, GOOD if is_good else WARNING if call.ending else BAD


def _command_text(command: Command) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in command.parameters.items())
    asked = " ".join(filter(None, (WORDS[command.type], parameters)))
    if command.answer is None:
        return f"{asked}: not answered yet"
    is_applied, remark = command.answer
    outcome = "applied" if is_applied else "refused"
    return f"{asked}: {outcome}{f' ({remark})' if remark else ''}"


def _left_out(stats: Stats, *, is_over: bool) -> tuple[str, ...]:
    counts = [(name, count) for name, count in stats.left_out.items() if name not in EXPECTED]
    counts.sort(key=lambda pair: -pair[1])
    texts = [f"{count:,} {name}" for name, count in counts[:MOST_LEFT_OUT]]
    if stats.refused:
        texts.append(f"{stats.refused:,} messages: refused by the bridge")
    if is_over and stats.unacknowledged:
        texts.append(f"{stats.unacknowledged:,} messages: not delivered")
    return tuple(texts)


def _rate(value: float) -> str:
    if value >= 100 or not math.isfinite(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
