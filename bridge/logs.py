"""Writes events as lines on standard error: JSON for machines, text on a terminal."""

import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LIBRARIES = {
    "aiohttp": logging.WARNING,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "grpc": logging.WARNING,
    "opentelemetry": logging.ERROR,  # it warns of each failed attempt, which the outbox retries anyway
    "urllib3": logging.ERROR,
}
"""The lowest level at which events of libraries are logged."""


def configure(
    level: str = "info",
    format: Literal["json", "text"] | None = None,
    *,
    stream: TextIO | None = None,
) -> None:
    """Write every event from now on to `stream` (standard error); no format: text on a terminal."""
    stream = stream or sys.stderr
    is_text = stream.isatty() if format is None else format == "text"
    writer = logging.StreamHandler(stream)
    writer.setFormatter(TextLine() if is_text else JsonLine())
    root = logging.getLogger()
    for before in tuple(root.handlers):
        root.removeHandler(before)
    root.addHandler(writer)
    root.setLevel(level.upper())
    for name, least in LIBRARIES.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)


class JsonLine(logging.Formatter):
    """One JSON object per event: time, level, event, then the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; whatever a field holds, it stays one line of valid JSON."""
        line: dict[str, Any] = {
            "time": _time(record, "milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if record.name != "bridge":
            line["logger"] = record.name
        line.update(
            (key, _plain(value)) for key, value in _fields(record).items() if key not in line
        )
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, allow_nan=False)


class TextLine(logging.Formatter):
    """Time, level, event and those fields that there are, to be read by a person."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; control characters of a field are escaped, so that none can forge a line."""
        moment = _time(record, "seconds")[11:19]
        known = ((key, value) for key, value in _fields(record).items() if value is not None)
        fields = "".join(f" {key}={_shown(value)}" for key, value in known)
        text = f"{moment} {record.levelname.lower():<7} {_shown(record.getMessage(), quoted=False)}{fields}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _time(record: logging.LogRecord, precision: str) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _plain(value: object) -> object:
    """Return a value that JSON can hold; any other, NaN included, becomes text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value)


def _shown(value: object, *, quoted: bool = True) -> str:
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
    return f'"{text}"' if quoted and (not text or " " in text) else text
