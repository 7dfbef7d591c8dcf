"""The part of a session's page that draws the numbers that its loop logs by name."""

from dataclasses import dataclass

from aiohttp import web

from bridge.web.charts.scalar_chart import CHOICES, STEP, ScalarChart, scalar_charts
from bridge.web.session_view import SessionView

MAX_CHARTS = 24


@dataclass(frozen=True, slots=True)
class ScalarSection:
    """The charts, and what they are drawn over."""

    by: str
    charts: tuple[ScalarChart, ...]
    others: tuple[tuple[str, float], ...]
    """The newest value of each name without a chart, which came before curves were kept, or has no room."""
    choices: tuple[str, ...] = CHOICES


def asked_axis(request: web.Request) -> str:
    """Return what a request wants curves to be drawn over."""
    by = request.query.get("by", "")
    return by if by in CHOICES else STEP


def scalar_section(session: SessionView, by: str) -> ScalarSection:
    """Return the charts of a session."""
    charts = scalar_charts(session, by)[:MAX_CHARTS]
    drawn = {chart.name for chart in charts}
    others = [(name, value) for name, value in session.scalars.items() if name not in drawn]
    for split, values in session.scalars_by_split.items():
        others += [(f"{name} ({split})", one) for name, one in values.items() if name not in drawn]
    return ScalarSection(by, charts, tuple(sorted(others)))
