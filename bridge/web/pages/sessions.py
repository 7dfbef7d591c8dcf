"""Show all sessions."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from aiohttp import web

from bridge.session import Session
from bridge.storage.index import ImageBatch, IndexedImage
from bridge.web.charts.line_chart import Chart
from bridge.web.charts.loss_chart import sparkline
from bridge.web.dependencies import AppDependencies, deps_of
from bridge.web.links import image_link
from bridge.web.request_params import whole_param
from bridge.web.session_lookup import MAX_OFFSET, all_sessions
from bridge.web.session_view import SessionView, session_view
from bridge.web.templating import html_response, render, root_of

PER_PAGE = 40


@dataclass(frozen=True, slots=True)
class Card:
    """One session on the first html_response."""

    session: SessionView
    curve: Chart | None
    newest: ImageBatch | None
    thumbnail: str
    """Link of the newest batch's first image, relative to the root, or ""."""


async def overview(request: web.Request) -> web.Response:
    """Answer with the first html_response."""
    deps = deps_of(request)
    offset = whole_param(request, "offset", 0, highest=MAX_OFFSET)
    sessions = await all_sessions(deps, offset + PER_PAGE + 1)
    now = time.time()
    views = [session_view(session, now) for session in sessions[offset : offset + PER_PAGE]]
    further = offset + PER_PAGE if len(sessions) > offset + PER_PAGE else None
    states = Counter(map(_state, deps.sessions))
    root = root_of(request)

    def draw() -> str:
        cards = [_card(deps, session) for session in views]
        return render(
            "sessions.html",
            root,
            live=[card for card in cards if card.session.is_live],
            over=[card for card in cards if not card.session.is_live],
            states=states,
            offset=offset,
            further=further,
            grpc_address=deps.grpc_address,
            grafana_url=deps.grafana_url,
        )

    return html_response(await asyncio.to_thread(draw))


def _card(deps: AppDependencies, session: SessionView) -> Card:
    newest = next(iter(deps.index.newest(session.id, limit=1)), None)
    images: list[IndexedImage] = []
    if newest is not None:
        images = deps.index.images(session.id, newest.epoch, newest.batch)
    link = image_link(session.id, newest, images[0]) if newest and images else ""
    return Card(session, sparkline(session.bins), newest, link)


def _state(session: Session) -> str:
    if session.ended_at:
        return "over"
    return "connected" if session.connected else "not connected"
