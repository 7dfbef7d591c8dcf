"""Checks a session that was read from disk: a damaged row must not reach the parts that trust its types."""

from dataclasses import astuple, fields
from operator import attrgetter
from typing import Any

from bridge.history import Bin
from bridge.model import Client, Config, Epoch, ResumePoint
from bridge.received_alerts import ReceivedAlerts
from bridge.session import Session
from bridge.session_snapshot import PLAIN

EXAMPLE = Session("a", Client(), Config(), now=0.0)
"""Every value of a session has the same type as here, but for the loss, which may be missing."""


OPTIONAL = ("trace_context", "rank", "resume_point")
"""What a client may leave out."""


TEXTS = frozenset({str})
NUMBERS = frozenset({int, float, bool})
NUMBERS_OR_NONE = NUMBERS | {type(None)}
"""The types of what is read from MessagePack, which makes no others; a session has a hundred numbers and more."""

_EPOCH_VALUES = attrgetter(*Epoch.__slots__)
_BIN_VALUES = attrgetter(*Bin.__slots__)


def check_session(session: Session, session_id: str) -> None:
    """Raise TypeError or ValueError for a session with values of types that no bridge writes."""
    if session.id != session_id:
        raise ValueError(f"the id in it is {session.id!r}")
    for name in PLAIN:
        if name != "loss":
            _check(name, getattr(session, name), getattr(EXAMPLE, name))
    _check_numbers("loss", [session.loss] if session.loss is not None else [])
    for name in (field.name for field in fields(Config)):
        _check(name, getattr(session.config, name), getattr(EXAMPLE.config, name))
    for name in (field.name for field in fields(Client) if field.name not in OPTIONAL):
        _check(name, getattr(session.client, name), getattr(EXAMPLE.client, name))
    place = session.client.resume_point or ResumePoint()
    numbers = (session.client.rank, place.epoch, place.batch, place.step)
    _check_numbers("client", [value for value in numbers if value is not None])
    _check_texts("former", session.former)
    _check_texts("tokens", (*session.proof.token_hashes, *session.proof.hosts))
    _check_texts("class_names", session.config.class_names)
    _check_texts("labels", (*session.client.labels, *session.client.labels.values()))
    for key in session.scalars.newest:
        _check_texts("scalars", key)
    _check_texts("notices", [notice.text for notice in session.notices])
    _check_numbers("stepped_at", [session.stepped_at])
    phases = session.phases
    _check_texts("phases", [phases.name, *phases.seconds, *phases.before])
    _check_numbers("phases", [*phases.before.values(), *phases.seconds.values()])
    _check_numbers("scalars", session.scalars.newest.values())
    _check_numbers("steps", [session.tokens, *([] if session.step is None else [session.step])])
    _check_numbers("notices", [notice.at for notice in session.notices])
    _check_numbers("events", [session.occurrences.total])
    for at, one in ((happened.at, happened.occurrence) for happened in session.occurrences):
        _check_texts("events", (one.name, one.message, *one.details, *one.details.values()))
        _check_numbers(
            "events", [at, one.epoch, one.batch, *([] if one.step is None else [one.step])]
        )
    _check_alerts(session.alerts)
    _check_numbers("epoch_ends", [number for pair in session.epoch_ends for number in pair])
    for epoch in session.epochs:
        _check_reported("epochs", _EPOCH_VALUES(epoch))
    for point in session.losses.bins:
        _check_reported("losses", _BIN_VALUES(point))


def _check_alerts(alerts: ReceivedAlerts) -> None:
    _check_numbers("alerts", [alerts.total])
    for kept in alerts:
        fingerprint, name, starts_at, ends_at, *texts = astuple(kept.alert)
        _check_texts("alerts", [fingerprint, name, *texts])
        _check_numbers("alerts", [kept.received_at, starts_at, ends_at])


def _check(name: str, value: object, example: object) -> None:
    is_float = type(example) is float
    if not (isinstance(value, (int, float)) if is_float else type(value) is type(example)):
        raise TypeError(f"{name} is {type(value).__name__}")


def _check_reported(name: str, values: Any) -> None:
    """Check numbers that may be missing."""
    if not NUMBERS_OR_NONE.issuperset(map(type, values)):
        raise TypeError(f"{name} holds something other than numbers")


def _check_texts(name: str, values: Any) -> None:
    if not TEXTS.issuperset(map(type, values)):
        raise TypeError(f"{name} holds something other than texts")


def _check_numbers(name: str, values: Any) -> None:
    if not NUMBERS.issuperset(map(type, values)):
        raise TypeError(f"{name} holds something other than numbers")
