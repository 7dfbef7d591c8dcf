"""The page that shows sessions side by side."""

import asyncio
import time
from collections.abc import Sequence

from aiohttp import web

from bridge.web.attempts.catalog import ATTEMPTS
from bridge.web.charts.comparison_chart import comparison_chart
from bridge.web.comparison.configs import compare_configs
from bridge.web.comparison.contestants import Contestant, contestants
from bridge.web.comparison.curves import (
    CHOICES,
    EPOCH_CURVES,
    LOSS,
    By,
    axis_of,
    curves_of,
    points_of,
)
from bridge.web.comparison.outcomes import outcomes
from bridge.web.comparison.selection import (
    MAX_COMPARED,
    ComparisonQuery,
    FoundSessions,
    comparison_query,
    find_sessions,
)
from bridge.web.dependencies import deps_of
from bridge.web.identity import identity_of, viewer_of
from bridge.web.session_catalog import CATALOG, SessionRow
from bridge.web.session_query import KEYS, Sort
from bridge.web.session_view import session_view
from bridge.web.templating import html_response, render, root_of

MAX_OFFERED = 200
"""Names that a browser completes while one is typed."""

CURVE_TEXTS = {
    LOSS: "Loss of batches",
    "epoch.loss": "Loss by epoch",
    "epoch.validation_loss": "Validation loss by epoch",
    "epoch.accuracy": "Accuracy by epoch",
    "epoch.validation_accuracy": "Validation accuracy by epoch",
    "epoch.learning_rate": "Learning rate by epoch",
}

BY_TEXTS = {By.STEP: "by step", By.TIME: "by time since the start", By.EPOCH: "by epoch"}


async def compare_page(request: web.Request) -> web.Response:
    """Return the page of a comparison; names that no session has are listed on it."""
    query, deps = comparison_query(request), deps_of(request)
    found = await find_sessions(deps, query.names)
    rows = await request.app[CATALOG].rows(identity_of(request))
    now, root = time.time(), root_of(request)
    views = [session_view(session, now) for session in found.sessions]
    catalog = request.app[ATTEMPTS]
    viewer = viewer_of(request)

    def render_page() -> str:
        compared = contestants(catalog, views)
        contents = _contents(query, found, compared, rows)
        return render("compare.html", root, viewer, grafana_url=deps.grafana_url, **contents)

    return html_response(await asyncio.to_thread(render_page))


def _contents(
    query: ComparisonQuery,
    found: FoundSessions,
    compared: Sequence[Contestant],
    rows: Sequence[SessionRow],
) -> dict[str, object]:
    views = [one.view for one in compared]
    curves = curves_of(views)
    curve = query.curve if query.curve in curves or not curves else curves[0]
    by = axis_of(curve, query.by)
    lines = [(view.id, f"c{place}", points_of(view, curve, by)) for place, view in enumerate(views)]
    newest = sorted(rows, key=KEYS[Sort.LIVE])[:MAX_OFFERED]
    return {
        "sessions": views,
        "query": query,
        "unknown": found.unknown,
        "limit": MAX_COMPARED,
        "offered": [row.id for row in newest if row.id not in query.names],
        "curves": {name: CURVE_TEXTS.get(name, name) for name in curves},
        "curve": curve,
        "curve_text": f"{CURVE_TEXTS.get(curve, curve).removesuffix(' by epoch')} {BY_TEXTS[by]}",
        "is_ignored": bool(curves) and query.curve not in curves,
        "choices": {choice: BY_TEXTS[choice] for choice in CHOICES},
        "has_choice": curve not in EPOCH_CURVES,
        "chart": comparison_chart(lines, by),
        "without": [name for name, _, points in lines if not points],
        "outcomes": outcomes(compared),
        "configs": compare_configs(views),
    }
