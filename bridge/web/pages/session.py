"""Show one session."""

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from bridge.commands import Command
from bridge.model import Epoch, is_ratio
from bridge.storage.index import ImageBatch, ImageIndex
from bridge.web.charts.confusion_matrix import ConfusionMatrix, confusion_matrix
from bridge.web.charts.epoch_chart import Series, epoch_chart
from bridge.web.charts.line_chart import Chart
from bridge.web.charts.loss_chart import loss_chart
from bridge.web.dependencies import AppDependencies, Confusion, deps_of
from bridge.web.formatting import class_name
from bridge.web.ignored_params import ignored_params
from bridge.web.links import batch_link, image_link
from bridge.web.pages.command_forms import FORMS
from bridge.web.session_lookup import session_of
from bridge.web.session_view import SessionView, session_view
from bridge.web.templating import html_response, render, root_of

BATCHES_SHOWN = 6
TILES_SHOWN = 4
CHARTED_EPOCHS = 300
LISTED_EPOCHS = 200


@dataclass(frozen=True, slots=True)
class Tile:
    """A small picture of an image."""

    link: str
    text: str
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """A batch, shown as a few of its images."""

    link: str
    batch: ImageBatch
    tiles: tuple[Tile, ...]
    wrong: int


@dataclass(frozen=True, slots=True)
class Curves:
    """What is drawn of a session."""

    loss: Chart | None
    epoch_loss: Chart | None
    epoch_accuracy: Chart | None
    has_accuracy_ratios: bool
    """Whether all accuracies drawn are between 0 and 1; else they are drawn as they were sent."""
    learning_rate: Chart | None


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything on the html_response of a session."""

    session: SessionView
    curves: Curves
    newest: tuple[Strip, ...]
    worst: tuple[Strip, ...]
    matrix: ConfusionMatrix | None
    commands: tuple[Command, ...]
    epochs: tuple[Epoch, ...]


async def session_page(request: web.Request) -> web.Response:
    """Answer with the html_response of a session."""
    deps = deps_of(request)
    session = await session_of(request)
    view = session_view(session, time.time())
    commands = tuple(reversed(deps.commands.of(session.id)))
    confusion = dict(deps.metrics.confusion(session.id))
    root, ignored, note = root_of(request), ignored_params(request), request.query.get("note", "")

    def draw() -> str:
        return render(
            "session.html",
            root,
            shown=_shown(deps, view, commands, confusion),
            forms=FORMS,
            token=secrets.token_hex(8),
            ignored=ignored,
            note=NOTES.get(note, ""),
            grafana_url=deps.grafana_url,
        )

    return html_response(await asyncio.to_thread(draw))


NOTES = {
    "no-images": "No images of this session are kept that fit what was asked for.",
    "queued": "The command is on its way; its answer will show below.",
}
"""What another html_response may have this one say, by a name, so that nobody can put words here."""


def _shown(
    deps: AppDependencies, session: SessionView, commands: tuple[Command, ...], confusion: Confusion
) -> Shown:
    strip = _strips(deps.index, session)
    return Shown(
        session,
        _curves(session),
        tuple(map(strip, deps.index.newest(session.id, limit=BATCHES_SHOWN))),
        tuple(map(strip, deps.index.worst(session.id, limit=BATCHES_SHOWN))),
        confusion_matrix(session.id, confusion, session.config.class_names),
        commands,
        tuple(reversed(session.epochs_done[-LISTED_EPOCHS:])),
    )


def _curves(session: SessionView) -> Curves:
    done = session.epochs_done
    epochs = done[:: 1 + len(done) // CHARTED_EPOCHS]
    numbers = [epoch.number for epoch in epochs]
    loss: list[Series] = [
        ("training", "a", [epoch.loss for epoch in epochs]),
        ("validation", "b", [epoch.validation_loss for epoch in epochs]),
    ]
    accuracy: list[Series] = [
        ("training", "a", [epoch.accuracy for epoch in epochs]),
        ("validation", "b", [epoch.validation_accuracy for epoch in epochs]),
    ]
    rate: list[Series] = [("learning rate", "a", [epoch.learning_rate for epoch in epochs])]
    return Curves(
        loss_chart(session.bins),
        epoch_chart(numbers, loss),
        epoch_chart(numbers, accuracy),
        all(
            is_ratio(value)
            for *_, values in accuracy
            for value in values
            if value is not None and math.isfinite(value)
        ),
        epoch_chart(numbers, rate),
    )


def _strips(index: ImageIndex, session: SessionView) -> Callable[[ImageBatch], Strip]:
    names = session.config.class_names

    def strip(batch: ImageBatch) -> Strip:
        images = index.images(session.id, batch.epoch, batch.batch)
        wrong_first = sorted(images, key=lambda image: not image.is_wrong)[:TILES_SHOWN]
        tiles = tuple(
            Tile(
                image_link(session.id, batch, image),
                f"predicted {class_name(image.predicted_class, names)}, "
                f"truth {class_name(image.true_class, names)}",
                image.is_wrong,
            )
            for image in wrong_first
        )
        wrong = sum(image.is_wrong for image in images)
        return Strip(batch_link(session.id, batch.epoch, batch.batch), batch, tiles, wrong)

    return strip
