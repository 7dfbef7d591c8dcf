"""The first page: all sessions."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web

from bridge.storage.index import ImageBatch, ImageIndex, IndexedImage
from bridge.web.charts.line_chart import Chart
from bridge.web.charts.loss_chart import sparkline
from bridge.web.database_absence import ABSENCE
from bridge.web.dependencies import deps_of
from bridge.web.identity import identity_of, viewer_of
from bridge.web.links import batch_link, image_link, session_link, with_query
from bridge.web.missing_images import images_problem, store_problem
from bridge.web.request_params import whole_param
from bridge.web.runs.folding import RankCount, folded, rank_counts
from bridge.web.session_catalog import CATALOG, MAX_SESSIONS, SessionRow
from bridge.web.session_query import SORT_TEXTS, STATUSES, SessionQuery, Sort, query_of
from bridge.web.session_view import SessionView, session_view
from bridge.web.templating import html_response, render, root_of

PER_PAGE = 50

NOTES = {
    "deleted": "The session is deleted. Its images stay where they are stored.",
    "deleted-with-images": "The session is deleted. Its images follow in the background.",
}
"""Texts that a redirect may show on this page, by name."""

MAX_MODELS = 100


@dataclass(frozen=True, slots=True)
class Card:
    """One session on the page."""

    session: SessionView
    curve: Chart | None
    newest: ImageBatch | None
    thumbnail: str
    """Link to the newest batch's first image, relative to the root, or ""."""
    ranks: RankCount | None
    """How many ranks it stands for."""
    link: str
    """To the page of that batch, or of the session."""


@dataclass(frozen=True, slots=True)
class Pager:
    """Which of the sessions that match are on the page, and the addresses of those before and after."""

    first: int
    last: int
    matching: int
    newer: str
    older: str


async def sessions_page(request: web.Request) -> web.Response:
    """Return one page of the sessions that match a search, which is part of its address."""
    deps, catalog = deps_of(request), request.app[CATALOG]
    query = query_of(request)
    offset = whole_param(request, "offset", 0, highest=MAX_SESSIONS)
    rows = await catalog.rows(identity_of(request))
    selected, ranks = folded(query.select(rows)), rank_counts(rows)
    page = await catalog.load(selected[offset : offset + PER_PAGE], or_fewer=True)
    now, root = time.time(), root_of(request)
    note_name = request.query.get("note", "")
    views = [session_view(session, now) for session in page]
    problem, store = images_problem(deps), store_problem(deps)
    viewer, absence = viewer_of(request), request.app[ABSENCE]

    def render_page(index: ImageIndex) -> str:
        cards = [_card(index, view, ranks) for view in views]
        return render(
            "sessions.html",
            root,
            viewer,
            groups=_groups(cards, query.sort),
            live=sum(row.is_live for row in rows),
            connections=Counter(map(_connection, rows)),
            total=len(rows),
            query=query,
            statuses=STATUSES,
            models=_models(rows, query),
            sorts=SORT_TEXTS,
            pager=_pager(query, root, offset, len(cards), len(selected)),
            note=NOTES.get(note_name, ""),
            problem=problem,
            grpc_address=deps.grpc_address,
            store=store,
            grafana_url=deps.grafana_url,
            is_shared=bool(deps.peers.bridge_id),
            away=absence.problem,
        )

    return html_response(await asyncio.to_thread(absence.rendered, render_page, deps.index))


def _groups(cards: list[Card], sort: Sort) -> list[tuple[str, list[Card]]]:
    """Return headings and the cards below them; "": no heading."""
    if sort is not Sort.LIVE:
        return [("", cards)] if cards else []
    live = [card for card in cards if card.session.is_live]
    ended = [card for card in cards if not card.session.is_live]
    return [(name, group) for name, group in (("", live), ("Ended", ended)) if group]


def _models(rows: Iterable[SessionRow], query: SessionQuery) -> list[str]:
    """Return the models to choose from: the most frequent ones, by name, and the one that is chosen."""
    counts = Counter(row.model for row in rows if row.model)
    frequent = {name for name, _ in counts.most_common(MAX_MODELS)}
    return sorted(frequent | ({query.model} if query.model else set()), key=str.casefold)


def _pager(query: SessionQuery, root: str, offset: int, shown: int, matching: int) -> Pager:
    def address(start: int) -> str:
        parameters = {**query.parameters, "offset": str(start) if start else ""}
        return with_query(root, parameters)

    following = offset + PER_PAGE
    last_page = max(0, matching - 1) // PER_PAGE * PER_PAGE
    return Pager(
        offset + 1,
        offset + shown,
        matching,
        address(max(0, min(offset - PER_PAGE, last_page))) if offset else "",
        address(following) if following < matching else "",
    )


def _card(index: ImageIndex, session: SessionView, ranks: Mapping[str, RankCount]) -> Card:
    newest = next(iter(index.newest(session.id, limit=1)), None)
    images: list[IndexedImage] = []
    if newest is not None:
        images = index.images(session.id, newest.epoch, newest.batch, attempt=newest.attempt)
    thumbnail = image_link(session.id, newest, images[0]) if newest and images else ""
    client = session.client
    counted = None if client.rank is None else ranks.get(client.run_id)
    attempt = newest.attempt if newest and session.attempt > 1 else None
    link = (
        batch_link(session.id, newest.epoch, newest.batch, attempt)
        if newest
        else session_link(session.id)
    )
    return Card(session, sparkline(session.loss_bins), newest, thumbnail, counted, link)


def _connection(row: SessionRow) -> str:
    if not row.is_live:
        return "ended"
    return "connected" if row.is_connected else "not connected"
