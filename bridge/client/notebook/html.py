"""The panel as HTML: inline styles and one small drawing, no script, for light themes and dark ones."""

import math
from collections.abc import Iterable
from html import escape

from bridge.client.notebook.view import BAD, BUSY, GOOD, QUIET, WARNING, PanelView

COLORS = {
    GOOD: "#2da44e",
    BUSY: "#3b82f6",
    WARNING: "#c9820a",
    BAD: "#e5484d",
    QUIET: "#8b949e",
}
"""Each stands out on white and on black alike; all other colours are those of the notebook."""

FRAME = (
    "max-width:640px;margin:4px 0;padding:10px 14px;border:1px solid rgba(128,128,128,0.35);"
    "border-radius:8px;color:inherit;font:13px/1.5 system-ui,sans-serif"
)
SOFT = "rgba(128,128,128,0.16)"
WIDTH, HEIGHT, MARGIN = 220, 44, 4
LONGEST_TEXT = 240


def html(view: PanelView) -> str:
    """Return the panel."""
    return "".join(
        (
            f'<div style="{FRAME}">',
            _head(view),
            _bar(view),
            _body(view),
            _notes(view.commands, "commands", COLORS[QUIET]),
            _notes(view.left_out, "left out", COLORS[WARNING]),
            "</div>",
        )
    )


def plain_text(view: PanelView) -> str:
    """Return the panel as one line, for front ends without HTML."""
    loss = "" if view.loss is None else f"loss {_number(view.loss)}"
    page = view.url or ""
    parts = (f"trainbridge session {view.name}: {view.state}", view.place, loss, page)
    return ", ".join(filter(None, parts))


def _head(view: PanelView) -> str:
    color = COLORS[view.tone]
    name = _shown(view.name)
    if view.url:
        name = (
            f'<a href="{escape(view.url)}" target="_blank" rel="noopener" '
            f'style="color:inherit;text-decoration:underline">{name}</a>'
        )
    return (
        '<div style="display:flex;gap:10px;align-items:baseline;flex-wrap:wrap">'
        f'<strong style="font-size:14px">{name}</strong>'
        f'<span style="color:{color}">&#9679; {_shown(view.state)}</span></div>'
    )


def _bar(view: PanelView) -> str:
    if view.ratio is None:
        return ""
    percent = math.floor(view.ratio * 1000) / 10
    return (
        f'<div style="height:6px;margin:8px 0 2px;border-radius:3px;background:{SOFT}">'
        f'<div style="width:{percent:g}%;height:6px;border-radius:3px;background:{COLORS[view.tone]}">'
        "</div></div>"
    )


def _body(view: PanelView) -> str:
    percent = "" if view.ratio is None else f"{math.floor(view.ratio * 100)} %"
    lines = filter(None, (" · ".join(filter(None, (percent, view.place))), view.speed))
    texts = "".join(f'<div style="opacity:0.8">{_shown(line)}</div>' for line in lines)
    if view.loss is not None:
        texts += f"<div>loss <strong>{_number(view.loss)}</strong></div>"
    if not texts and not view.curve:
        return ""
    return (
        '<div style="display:flex;justify-content:space-between;align-items:flex-end;gap:16px;'
        f'flex-wrap:wrap;margin-top:4px"><div>{texts}</div>{_sparkline(view.curve)}</div>'
    )


def _sparkline(curve: tuple[float, ...]) -> str:
    """Draw a curve; its last point is marked."""
    if len(curve) < 2:
        return ""
    low, high = min(curve), max(curve)
    span = (high - low) or 1.0
    width, height = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
    places = [
        (
            MARGIN + width * index / (len(curve) - 1),
            MARGIN + (height * (high - value) / span if high > low else height / 2),
        )
        for index, value in enumerate(curve)
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="loss, from {_number(curve[0])} to {_number(curve[-1])}">'
        f'<polyline points="{points}" fill="none" stroke="{COLORS[BUSY]}" stroke-width="1.5" '
        'stroke-linejoin="round"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{COLORS[BUSY]}"/></svg>'
    )


def _notes(texts: Iterable[str], title: str, color: str) -> str:
    lines = "".join(f"<div>{_shown(text)}</div>" for text in texts)
    if not lines:
        return ""
    return (
        f'<div style="display:flex;gap:10px;margin-top:6px;font-size:12px">'
        f'<span style="color:{color};white-space:nowrap">{title}</span><div>{lines}</div></div>'
    )


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _shown(text: str) -> str:
    return escape(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …")
