"""The page of one session."""

import asyncio
import secrets
from collections.abc import Sequence

from aiohttp import web

from bridge.commands import Command
from bridge.errors import NotFoundError
from bridge.storage.index import ImageIndex
from bridge.web.attempts.asked import with_asked
from bridge.web.attempts.catalog import (
    ATTEMPTS,
    AllAttempts,
    AttemptCatalog,
    since_the_first,
    view_of_all,
)
from bridge.web.attempts.stitching import stretch_of
from bridge.web.charts.confusion_matrix import confusion_matrix
from bridge.web.charts.session_curves import session_curves
from bridge.web.database_absence import ABSENCE, NO_IMAGES, NoAttempts
from bridge.web.dependencies import deps_of
from bridge.web.happenings import firing, happenings, pause_sender
from bridge.web.identity import viewer_of
from bridge.web.ignored_params import ignored_params
from bridge.web.missing_images import images_problem, store_problem
from bridge.web.pages.command_forms import FORMS
from bridge.web.pages.scalar_section import asked_axis, scalar_section
from bridge.web.pages.stored_session import stored_session_page
from bridge.web.pages.strips import strips_of, worst_strips
from bridge.web.peers.staleness import stale_note
from bridge.web.runs.findings import findings
from bridge.web.runs.lookup import run_around
from bridge.web.runs.selection import notable_ranks
from bridge.web.runs.view import RunView
from bridge.web.session_commands import commands_on_page
from bridge.web.session_images import session_images
from bridge.web.session_lookup import session_of
from bridge.web.session_view import SessionView
from bridge.web.templating import html_response, render, root_of

MAX_STRIPS = 6
MAX_FIRING = 5
MAX_LISTED_EPOCHS = 200
MAX_LISTED_RANKS = 12

QUEUED = "queued"

NOTES = {
    "no-images": "No images of this session are kept that match the link.",
    QUEUED: "The command is on its way; its result will appear below.",
}
"""Texts that a redirect may show on this page, by name, so that a link cannot put words of its own here."""

NO_ATTEMPTS = AttemptCatalog(NoAttempts())  # type: ignore[arg-type]  # nothing is read of them
"""While they cannot be asked for, the newest attempt is shown by itself."""


async def session_page(request: web.Request) -> web.Response:
    """Return the page of a session, of all its attempts or of the one in its address."""
    deps, catalog = deps_of(request), request.app[ATTEMPTS]
    try:
        session = await session_of(request)
        newest, asked = await with_asked(request, session)
    except NotFoundError:
        return await stored_session_page(request)
    images = await session_images(request)
    shown = newest if asked is None else asked
    commands = await commands_on_page(request, session)
    confusion = dict(deps.metrics.confusion(newest.id)) if shown.attempt == newest.attempt else {}
    root, ignored = root_of(request), ignored_params(request)
    note = _note(request.query.get("note", ""), newest, commands.all)
    problem, store = images_problem(deps), store_problem(deps)
    run = await run_around(request, newest.client)
    by = asked_axis(request)
    viewer, stale, absence = viewer_of(request), stale_note(request), request.app[ABSENCE]

    def render_page(index: ImageIndex) -> str:
        attempts = (NO_ATTEMPTS if index is NO_IMAGES else catalog).all_of(newest)
        whole = view_of_all(newest, attempts)
        logged = since_the_first(whole, attempts) if asked is None else asked
        return render(
            "session.html",
            root,
            viewer,
            **_contents(index, attempts, whole if asked is None else asked, asked),
            elsewhere=images.session.attempt if images.session is not images.row else None,
            missing="" if store else images.problem,
            matrix=confusion_matrix(newest.id, confusion, shown.config.class_names),
            **_run(run, newest),
            attempts=attempts,
            newest=newest,
            is_alone=asked is not None,
            goodput_ratio=newest.goodput_ratio
            if asked is None
            else attempts.goodput_ratio_of(asked.attempt),
            commands=[
                (command, commands.note_of(command, newest)) for command in reversed(commands.all)
            ],
            scalars=scalar_section(logged, by),
            happenings=happenings(logged, commands.all),
            firing=firing(newest, commands.all)[:MAX_FIRING] if shown is newest else (),
            paused_by=pause_sender(shown, commands.all),
            forms=FORMS,
            token=secrets.token_hex(8),
            ignored=ignored,
            note=note,
            problem=problem,
            store=store,
            grafana_url=deps.grafana_url,
            stale=stale,
            away=absence.problem,
        )

    return html_response(await asyncio.to_thread(absence.rendered, render_page, images.index))


def _note(name: str, session: SessionView, commands: Sequence[Command]) -> str:
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
    index: ImageIndex, attempts: AllAttempts, session: SessionView, asked: SessionView | None
) -> dict[str, object]:
    """Return what is shown of a run, or of the one attempt that was asked for."""
    names = session.config.class_names
    attempt = None if asked is None else asked.attempt
    stretches = attempts.stretches if asked is None else (stretch_of(asked),)
    newest = index.newest(session.id, limit=MAX_STRIPS, attempt=attempt)
    worst = worst_strips(
        index,
        session,
        stretches,
        limit=MAX_STRIPS,
        attempt=attempt,
        has_several=attempts.has_several,
    )
    return {
        "session": session,
        "curves": session_curves(session, stretches),
        "newest_images": strips_of(index, newest, names, has_several=attempts.has_several),
        "worst": worst,
        "epochs": tuple(reversed(session.epochs_done[-MAX_LISTED_EPOCHS:])),
    }
