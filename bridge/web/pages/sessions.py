"""The first page: all sessions."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from aiohttp import web

from bridge.session import Session
from bridge.storage.index import ImageBatch, ImageIndex, IndexedImage
from bridge.web.charts.line_chart import Chart
from bridge.web.charts.loss_chart import sparkline
from bridge.web.dependencies import deps_of
from bridge.web.links import image_link
from bridge.web.request_params import whole_param
from bridge.web.session_lookup import MAX_OFFSET, all_sessions
from bridge.web.session_view import SessionView, session_view
from bridge.web.templating import html_response, render, root_of

PER_PAGE = 40


@dataclass(frozen=True, slots=True)
class Card:
    """One session on the page."""

    session: SessionView
    curve: Chart | None
    newest: ImageBatch | None
    thumbnail: str
    """Link to the newest batch's first image, relative to the root, or ""."""


async def sessions_page(request: web.Request) -> web.Response:
    """Return one page of all sessions."""
    deps = deps_of(request)
    offset = whole_param(request, "offset", 0, highest=MAX_OFFSET)
    sessions = await all_sessions(deps, offset + PER_PAGE + 1)
    now = time.time()
    views = [session_view(session, now) for session in sessions[offset : offset + PER_PAGE]]
    next_offset = offset + PER_PAGE if len(sessions) > offset + PER_PAGE else None
    connections = Counter(map(_connection, deps.sessions))
    root = root_of(request)

    def render_page() -> str:
        cards = [_card(deps.index, view) for view in views]
        return render(
            "sessions.html",
            root,
            live=[card for card in cards if card.session.is_live],
            ended=[card for card in cards if not card.session.is_live],
            connections=connections,
            offset=offset,
            previous_offset=max(0, offset - PER_PAGE),
            next_offset=next_offset,
            grpc_address=deps.grpc_address,
            grafana_url=deps.grafana_url,
        )

    return html_response(await asyncio.to_thread(render_page))


def _card(index: ImageIndex, session: SessionView) -> Card:
    newest = next(iter(index.newest(session.id, limit=1)), None)
    images: list[IndexedImage] = []
    if newest is not None:
        images = index.images(session.id, newest.epoch, newest.batch)
    thumbnail = image_link(session.id, newest, images[0]) if newest and images else ""
    return Card(session, sparkline(session.loss_bins), newest, thumbnail)


def _connection(session: Session) -> str:
    if session.ended_at:
        return "ended"
    return "connected" if session.connected else "not connected"
