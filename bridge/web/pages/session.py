"""The page of one session."""

import asyncio
import secrets
import time

from aiohttp import web

from bridge.commands import Command
from bridge.web.charts.confusion_matrix import confusion_matrix
from bridge.web.charts.session_curves import session_curves
from bridge.web.command_notes import note_of
from bridge.web.dependencies import AppDependencies, Confusion, deps_of
from bridge.web.ignored_params import ignored_params
from bridge.web.missing_images import images_problem, store_problem
from bridge.web.pages.command_forms import FORMS
from bridge.web.pages.strips import strips_of, worst_strips
from bridge.web.runs.findings import findings
from bridge.web.runs.lookup import run_around
from bridge.web.runs.selection import notable_ranks
from bridge.web.runs.view import RunView
from bridge.web.session_lookup import session_of
from bridge.web.session_view import SessionView, session_view
from bridge.web.templating import html_response, render, root_of

MAX_STRIPS = 6
MAX_LISTED_EPOCHS = 200
MAX_LISTED_RANKS = 12

QUEUED = "queued"

NOTES = {
    "no-images": "No images of this session are kept that match the link.",
    QUEUED: "The command is on its way; its result will appear below.",
}
"""Texts that a redirect may show on this page, by name, so that a link cannot put words of its own here."""


async def session_page(request: web.Request) -> web.Response:
    """Return the page of a session."""
    deps = deps_of(request)
    session = await session_of(request)
    view = session_view(session, time.time())
    commands = deps.commands.of(session.id)
    confusion = dict(deps.metrics.confusion(session.id))
    root, ignored = root_of(request), ignored_params(request)
    note = _note(request.query.get("note", ""), view, commands)
    problem, store = images_problem(deps), store_problem(deps)
    run = await run_around(request, session)

    def render_page() -> str:
        return render(
            "session.html",
            root,
            **_contents(deps, view, commands, confusion),
            **_run(run, view),
            forms=FORMS,
            token=secrets.token_hex(8),
            ignored=ignored,
            note=note,
            problem=problem,
            store=store,
            grafana_url=deps.grafana_url,
        )

    return html_response(await asyncio.to_thread(render_page))


def _note(name: str, session: SessionView, commands: list[Command]) -> str:
    """Return the text of a note while it is true: a command is on its way until it is answered or the run is over."""
    is_waiting = any(command.result is None for command in commands)
    if name == QUEUED and not (session.is_live and is_waiting):
        return ""
    return NOTES.get(name, "")


def _run(run: RunView | None, session: SessionView) -> dict[str, object]:
    """Return what the page shows of the run that the session is a rank of."""
    if run is None:
        return {"run": None}
    ranks = notable_ranks(run, session.client.rank, MAX_LISTED_RANKS)
    return {"run": run, "findings": findings(run), "ranks": ranks}


def _contents(
    deps: AppDependencies,
    session: SessionView,
    commands: list[Command],
    confusion: Confusion,
) -> dict[str, object]:
    index, names = deps.index, session.config.class_names
    return {
        "session": session,
        "curves": session_curves(session),
        "newest": strips_of(index, index.newest(session.id, limit=MAX_STRIPS), names),
        "worst": worst_strips(index, session, limit=MAX_STRIPS),
        "matrix": confusion_matrix(session.id, confusion, names),
        "commands": [(command, note_of(command, session)) for command in reversed(commands)],
        "epochs": tuple(reversed(session.epochs_done[-MAX_LISTED_EPOCHS:])),
    }
