"""The page of a batch: its images, with what was predicted of each."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from bridge.storage.index import IndexedImage
from bridge.web.attempts.asked import images_asked
from bridge.web.attempts.attempt_of_batch import attempt_of_batch
from bridge.web.attempts.catalog import ATTEMPTS
from bridge.web.batch_record import BatchOnRecord, batch_on_record, reason_of
from bridge.web.dependencies import deps_of
from bridge.web.formatting import class_name
from bridge.web.identity import viewer_of
from bridge.web.ignored_params import ignored_params
from bridge.web.links import attempt_link, image_link
from bridge.web.missing_images import images_problem, store_problem
from bridge.web.pages.image_selection import Selection, read_selection, usable_parameters
from bridge.web.pages.selection_notes import (
    higher_loss,
    loss_text,
    lost_note,
    mistake_note,
    recent_note,
    time_note,
)
from bridge.web.pages.strips import strips_of
from bridge.web.peers.staleness import stale_note
from bridge.web.request_params import batch_of
from bridge.web.session_images import SessionImages, session_images
from bridge.web.templating import html_response, render, root_of

NOTHING_SELECTED = Selection()


@dataclass(frozen=True, slots=True)
class Figure:
    """One image and its prediction."""

    link: str
    position: int
    predicted: str
    confidence: float | None
    truth: str
    verdict: str
    """wrong, right or unknown; also its CSS class."""


async def batch_page(request: web.Request) -> web.Response:
    """Return the page of a batch, images or not; 404 with links to the nearest ones where it was never reported."""
    deps, catalog = deps_of(request), request.app[ATTEMPTS]
    images = await session_images(request)
    newest, asked = await images_asked(request, images)
    place = batch_of(request)
    root, ignored = root_of(request), ignored_params(request)
    names = newest.config.class_names
    selection, _ = read_selection(usable_parameters(request.query), names)
    problem, store = images_problem(deps), store_problem(deps)
    viewer, stale = viewer_of(request), stale_note(request)

    def render_page() -> tuple[str, int]:
        index = images.index
        chosen = attempt_of_batch(index, deps.archive, catalog, newest, place, asked)
        session, is_alone = chosen.session, asked is not None
        found = batch_on_record(index, session, place, is_alone=is_alone)
        if not found.is_reported:
            images.check()
        figures = _figures(session.id, found, names)
        beside = [batch for batch in (found.before, found.after) if batch]
        text = render(
            "batch.html",
            root,
            viewer,
            session=session,
            newest_attempt=newest.attempt,
            others=chosen.others,
            folder=attempt_link(session.id, session.attempt if is_alone else None),
            epoch=place[0],
            number=place[1],
            found=found,
            figures=figures,
            lost=lost_note(found.images),
            wrong=sum(figure.verdict == "wrong" for figure in figures),
            judged=sum(figure.verdict != "unknown" for figure in figures),
            nearest=[]
            if found.batch
            else strips_of(index, beside, names, has_several=newest.attempt > 1),
            reason=reason_of(index, session, found, problem),
            time_note=time_note(selection, found.batch) if found.batch else "",
            recent=_recent(images, selection, newest.now),
            is_only_stored=images.is_only_stored,
            missing="" if store else images.problem,
            mistake_note=mistake_note(selection, found.images, names) if found.batch else "",
            higher=higher_loss(selection, found.batch, session) if found.batch else None,
            loss_text=loss_text,
            ignored=ignored,
            store=store,
            grafana_url=deps.grafana_url,
            stale=stale,
        )
        return text, 200 if found.is_reported else 404

    text, status = await asyncio.to_thread(render_page)
    return html_response(text, status=status)


def _recent(images: SessionImages, selection: Selection, now: float) -> str:
    """Return that newer images may be on their way; "" where this bridge receives the session itself."""
    if not images.has_asked or selection == NOTHING_SELECTED:
        return ""
    newest = images.index.newest(images.session.id, limit=1)
    return recent_note(selection, newest[0].received_ms, now) if newest else ""


def _figures(session_id: str, found: BatchOnRecord, names: tuple[str, ...]) -> list[Figure]:
    batch = found.batch
    if batch is None:
        return []
    return [
        Figure(
            image_link(session_id, batch, image),
            image.position,
            class_name(image.predicted_class, names),
            image.confidence,
            class_name(image.true_class, names),
            _verdict(image),
        )
        for image in found.images
    ]


def _verdict(image: IndexedImage) -> str:
    if image.predicted_class is None or image.true_class is None:
        return "unknown"
    return "wrong" if image.is_wrong else "right"
