"""Whether what was read of a session is one: a damaged row must not reach the parts that trust it."""

from dataclasses import fields
from typing import Any

from bridge.model import Client, Config, Epoch
from bridge.session import PLAIN, Session

LIKE_THIS = Session("a", Client(), Config(), now=0.0)
"""Every value of a session is of the same kind as here, but for the loss, which may be missing."""


def check_session(session: Session, session_id: str) -> None:
    """Raise TypeError or ValueError for a session whose values are of other kinds than a bridge writes."""
    if session.id != session_id:
        raise ValueError(f"it calls itself {session.id!r}")
    for name in PLAIN:
        if name != "loss":
            _check(name, getattr(session, name), getattr(LIKE_THIS, name))
    _check_numbers("loss", [session.loss] if session.loss is not None else [])
    for name in (field.name for field in fields(Config)):
        _check(name, getattr(session.config, name), getattr(LIKE_THIS.config, name))
    for name in (field.name for field in fields(Client) if field.name != "trace_context"):
        _check(name, getattr(session.client, name), getattr(LIKE_THIS.client, name))
    _check_texts("former", session.former)
    _check_texts("tokens", (*session.token_hashes, *session.hosts))
    _check_texts("class_names", session.config.class_names)
    _check_texts("labels", (*session.client.labels, *session.client.labels.values()))
    _check_texts("scalars", session.scalars)
    _check_texts("notices", [notice.text for notice in session.notices])
    _check_numbers("scalars", session.scalars.values())
    _check_numbers("notices", [notice.at for notice in session.notices])
    for epoch in session.epochs:
        given = [getattr(epoch, name) for name in Epoch.__slots__]
        _check_numbers("epochs", [value for value in given if value is not None])
    for one in session.losses.bins:
        _check_numbers("losses", [one.start, one.count, one.total, one.low, one.high, one.epoch])


def _check(name: str, value: object, like: object) -> None:
    is_right = isinstance(value, (int, float)) if type(like) is float else type(value) is type(like)
    if not is_right:
        raise TypeError(f"{name} is {type(value).__name__}")


def _check_texts(name: str, values: Any) -> None:
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"{name} holds what is no text")


def _check_numbers(name: str, values: Any) -> None:
    if not all(isinstance(value, (int, float)) for value in values):
        raise TypeError(f"{name} holds what is no number")
