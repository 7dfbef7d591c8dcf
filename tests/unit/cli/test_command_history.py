"""`trainbridge commands`, against a bridge's real HTTP server."""

import json

from support.pages import running

from bridge import cli
from bridge.model import CommandResult
from bridge.protocol import CommandType


def test_commands_are_listed_with_their_answers(bridge, capsys):
    """Who asked, what for, and what became of it."""
    running(bridge.deps, "s")
    rate = bridge.deps.commands.submit(
        "s", CommandType.CHANGE_LEARNING_RATE, {"learning_rate": "0.1"}, source="alert Diverging"
    )
    bridge.deps.commands.answer("s", CommandResult(rate.id, False, "no callback", 2, 9))
    bridge.deps.commands.submit("s", CommandType.PAUSE_TRAINING, {})

    assert cli.main(["commands", "s"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert "CHANGE_LEARNING_RATE learning_rate=0.1  alert Diverging" in first
    assert first.endswith("refused at epoch 2, batch 9: no callback")
    assert "queued" in second
    assert cli.main(["commands", "s", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["commands"]
    assert [one["state"] for one in listed] == ["refused", "queued"]


def test_nothing_since_then(bridge, capsys):
    """Is said, not an empty table; a session that is not there is an error."""
    running(bridge.deps, "s")
    assert cli.main(["commands", "s", "--since", "2h"]) == 0
    assert capsys.readouterr().out == "No commands of s since then.\n"
    assert cli.main(["commands", "nobody"]) == 1
    assert "there is no session 'nobody'" in capsys.readouterr().err
