"""What is drawn over charts of a session: when its attempts began and ended, its epochs, events, commands and alerts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bridge.addresses import GO_TO_IMAGES
from bridge.commands import Command
from bridge.model import Epoch
from bridge.received_alerts import KeptAlert
from bridge.web.formatting import number
from bridge.web.happenings import alert_details
from bridge.web.links import attempt_link, batch_link, session_link, with_query
from bridge.web.session_view import SessionView

TEXT_LIMIT = 1_000
"""Characters of a text; it is cut."""


class Kind(StrEnum):
    """What an annotation is about."""

    ATTEMPT = "attempt"
    EPOCH = "epoch"
    EVENT = "event"
    COMMAND = "command"
    ALERT = "alert"
    END = "end"


@dataclass(frozen=True, slots=True)
class Annotation:
    """A moment of a session, or a while."""

    at: float
    """When it was, or began, in seconds since 1970."""
    kind: Kind
    title: str
    session_id: str
    attempt: int
    link: str
    """A page, relative to the root."""
    text: str = ""
    tags: tuple[str, ...] = ()
    """Besides the kind."""
    until: float | None = None
    """When it ended; None: it is a moment, or goes on."""

    @property
    def time_ms(self) -> int:
        """When it was, in milliseconds."""
        return round(self.at * 1000)


def annotations_of(
    view: SessionView, commands: Sequence[Command], *, is_former: bool = False
) -> Iterator[Annotation]:
    """Yield the annotations of one attempt of a session, in no order; `commands` are those of the session.

    `is_former`: a later attempt may have the same batches, so that links name the attempt.
    """
    linked = view.attempt if is_former else None
    yield _beginning(view)
    yield from _epochs(view, linked)
    yield from _events(view, linked)
    yield from (_command(view, command) for command in commands)
    yield from (_alert(view, kept, commands, linked) for kept in view.alerts)
    if view.ended_at and not view.is_live:
        yield _end(view)


def _beginning(view: SessionView) -> Annotation:
    title = "training began" if view.attempt == 1 else f"attempt {view.attempt} began"
    link = attempt_link(view.id, view.attempt)
    text = view.config.model_name
    return Annotation(view.registered_at, Kind.ATTEMPT, title, view.id, view.attempt, link, text)


def _end(view: SessionView) -> Annotation:
    link, text = attempt_link(view.id, view.attempt), view.status_message[:TEXT_LIMIT]
    return Annotation(
        view.ended_at, Kind.END, view.state, view.id, view.attempt, link, text, (view.state,)
    )


def _epochs(view: SessionView, linked: int | None) -> Iterator[Annotation]:
    known = {one.number: one for one in view.epochs_done}
    for epoch, at in view.epoch_ends:
        text = _epoch_text(known[epoch]) if epoch in known else ""
        link = _images_link(view, linked, epoch=str(epoch))
        title = f"epoch {epoch} done"
        yield Annotation(at, Kind.EPOCH, title, view.id, view.attempt, link, text)


def _epoch_text(epoch: Epoch) -> str:
    values = {
        "loss": epoch.loss,
        "accuracy": epoch.accuracy,
        "validation loss": epoch.validation_loss,
        "validation accuracy": epoch.validation_accuracy,
    }
    return ", ".join(
        f"{name} {number(value)}" for name, value in values.items() if value is not None
    )


def _events(view: SessionView, linked: int | None) -> Iterator[Annotation]:
    for happened in view.occurrences:
        one = happened.occurrence
        details = ", ".join(f"{name}: {value}" for name, value in one.details.items())
        text = "; ".join(filter(None, (one.message, details)))[:TEXT_LIMIT]
        link = (
            batch_link(view.id, one.epoch, one.batch, linked)
            if one.epoch or one.batch
            else attempt_link(view.id, linked)
        )
        tags = (str(one.level),)
        yield Annotation(happened.at, Kind.EVENT, one.name, view.id, view.attempt, link, text, tags)


def _command(view: SessionView, command: Command) -> Annotation:
    result = command.result
    values = ", ".join(f"{name}={value}" for name, value in command.parameters.items())
    source = f"sent by {command.source}" if command.source else ""
    answer = str(command.state)
    if result is not None:
        place = view.place_text(result.epoch, result.batch)
        answer = f"{command.state} at {place}{f': {result.message}' if result.message else ''}"
    text = "; ".join(filter(None, (values, source, answer)))[:TEXT_LIMIT]
    link = (
        session_link(view.id) if result is None else batch_link(view.id, result.epoch, result.batch)
    )
    title = command.type.name.replace("_", " ").lower()
    tags = (str(command.state),)
    until = command.answered_at or None
    return Annotation(
        command.queued_at, Kind.COMMAND, title, view.id, view.attempt, link, text, tags, until
    )


def _alert(
    view: SessionView, kept: KeptAlert, commands: Sequence[Command], linked: int | None
) -> Annotation:
    alert = kept.alert
    text = "; ".join(filter(None, (alert.summary, alert_details(view, kept, commands))))
    at_ms = round(alert.starts_at * 1000)
    link = _images_link(view, linked, at=str(at_ms))
    tags = ("firing" if kept.fires else "resolved", *filter(None, (alert.severity,)))
    return Annotation(
        alert.starts_at,
        Kind.ALERT,
        f"alert {alert.name}",
        view.id,
        view.attempt,
        link,
        text[:TEXT_LIMIT],
        tags,
        alert.ends_at or None,
    )


def _images_link(view: SessionView, linked: int | None, **place: str) -> str:
    """Return a link to the images of the highest loss there."""
    attempt = "" if linked is None else str(linked)
    query = {"session": view.id, **place, "prefer": "max_loss", "attempt": attempt}
    return with_query(GO_TO_IMAGES, query)
