"""The examples of docs/reading-back.md run against a bridge's real HTTP server."""

import threading

import pytest
from support.markdown import blocks
from support.pages import deps_in, running
from support.repository import ROOT
from support.served_app import served_app
from support.waiting import until_true

from bridge.lifecycle import Ended
from bridge.model import (
    CommandResult,
    Epoch,
    Level,
    Occurrence,
    Scalars,
    Stage,
    Status,
    StatusChange,
)

EXAMPLES = blocks((ROOT / "docs" / "reading-back.md").read_text(), "python")
PRINTED = ("run-1", "learning_rate None", "", "info checkpoint saved", "applied")
"""A part of what each example prints."""


@pytest.fixture
def bridge(tmp_path):
    """A bridge with two sessions, of which the first has all that the page asks for."""
    deps, shelf = deps_in(tmp_path)
    session = running(deps, "run-1")
    running(deps, "run-2")
    for message in (
        Scalars(1, 2, {"learning_rate": 0.1, "grad_norm": 2.0}),
        Epoch(1, 0.5, validation_loss=0.6),
        Occurrence("checkpoint", "saved", Level.INFO, {}, 1, 2),
    ):
        session.apply(message, session.registered_at)
    with served_app(deps) as url:
        yield deps, session, url
    shelf.database.close()


def train(deps, session):
    """Answer the command of the page, and come to an end."""
    (command,) = until_true(lambda: deps.commands.of("run-1"))
    deps.commands.answer("run-1", CommandResult(command.id, True, "", 1, 3))
    session.apply(StatusChange(Status.COMPLETED), session.registered_at)
    session.apply(Ended(Stage.ENDED), session.registered_at)


@pytest.mark.parametrize(("example", "printed"), list(zip(EXAMPLES, PRINTED, strict=True)))
def test_each_example_runs(bridge, capsys, example, printed):
    """As it stands, but for the address of the bridge."""
    deps, session, url = bridge
    thread = threading.Thread(target=train, args=(deps, session))
    if "submit_command" in example:
        thread.start()
    text = example.replace("http://127.0.0.1:8080", url)
    exec(compile(text, "docs/reading-back.md", "exec"), {})  # noqa: S102 -- our own page
    if thread.ident is not None:
        thread.join()

    assert printed in capsys.readouterr().out
