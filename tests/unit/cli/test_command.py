"""`trainbridge command`, against a bridge's real HTTP server."""

import json
import threading

import pytest
from support.pages import running
from support.waiting import until_true

from bridge import cli
from bridge.lifecycle import Ended
from bridge.model import CommandResult, Stage
from bridge.protocol import COMMAND_WORDS, CommandType


@pytest.fixture
def answer(bridge):
    """Have the training loop of session "s" answer the next command, from a thread as soon as it is there."""
    threads = []

    def install(*, applied, message=""):
        def run():
            (submitted,) = until_true(lambda: bridge.deps.commands.of("s"))
            bridge.deps.commands.answer("s", CommandResult(submitted.id, applied, message, 3, 17))

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield install
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("word", "type", "parameters"),
    [
        ("pause", CommandType.PAUSE_TRAINING, {"x": "a=b"}),
        (
            "change-learning-rate",
            CommandType.CHANGE_LEARNING_RATE,
            {"learning_rate": "0.1", "x": "a=b"},
        ),
    ],
)
def test_a_command_is_submitted(bridge, capsys, word, type, parameters):
    """With the protocol's name and its parameters; the output says that it is not answered, and where it will be."""
    running(bridge.deps, "resnet-1")
    flags = [flag for pair in parameters.items() for flag in ("--set", "=".join(pair))]

    assert cli.main(["command", word, "resnet-1", *flags]) == 0
    assert bridge.commands("resnet-1") == [(type, parameters)]
    out = capsys.readouterr().out
    assert f"{word} queued for resnet-1, not answered yet; --wait waits" in out
    assert f"{bridge.url}/sessions/resnet-1" in out


@pytest.mark.parametrize(
    ("is_applied", "status", "state"), [(True, 0, "applied"), (False, 1, "refused")]
)
def test_with_wait_the_exit_status_is_the_answer(bridge, answer, capsys, is_applied, status, state):
    """0 only if the loop has applied it; the loop's own words are repeated, with the place in the training."""
    running(bridge.deps, "s")
    answer(applied=is_applied, message="in its own words")

    assert cli.main(["command", "save-checkpoint", "s", "--wait"]) == status
    out = capsys.readouterr().out
    assert out == f"save-checkpoint {state} by s at epoch 3, batch 17: in its own words\n"


def test_the_answer_is_given_to_scripts_as_json(bridge, answer, capsys):
    """With --json the command is printed as the API shows it."""
    running(bridge.deps, "s")
    answer(applied=True)

    assert cli.main(["command", "pause", "s", "--wait", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["type"], printed["state"]) == ("PAUSE_TRAINING", "applied")
    assert (printed["result"]["epoch"], printed["result"]["batch"]) == (3, 17)


def test_an_answer_that_does_not_come_has_a_status_of_its_own(bridge, capsys):
    """3: the loop may still apply it."""
    running(bridge.deps, "s")

    assert cli.main(["command", "pause", "s", "--timeout", "0.01"]) == 3
    assert "pause queued for s, not answered yet" in capsys.readouterr().out


def test_a_session_that_ends_is_waited_for_no_longer(bridge, capsys):
    """Nobody is left to answer."""
    session = running(bridge.deps, "s")

    def end():
        until_true(lambda: bridge.deps.commands.of("s"))
        session.apply(Ended(Stage.ENDED), session.registered_at)

    thread = threading.Thread(target=end)
    thread.start()
    assert cli.main(["command", "stop", "s", "--wait"]) == 1
    thread.join()
    assert "the session 's' has ended without an answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["change-learning-rate", "s"], "change-learning-rate needs a value: give --set learning_rate=0.0003"),
        (["change-learning-rate", "s", "--set", "lr=1"], "give --set learning_rate=0.0003"),
        (["adjust-batch-size", "s"], "adjust-batch-size needs a value: give --set batch_size=64"),
        (["stop", "s", "--set", "a=1", "--set", "a=2"], "--set: a is given more than once"),
    ],
)  # fmt: skip  # as a table
def test_an_incomplete_command_is_not_sent(bridge, capsys, words, text):
    """The status is 2, and the sentence says what to add."""
    running(bridge.deps, "s")

    assert cli.main(["command", *words]) == 2
    assert text in capsys.readouterr().err
    assert bridge.commands("s") == []


def test_every_command_of_the_protocol_has_a_word():
    """No command can be given over HTTP only."""
    assert set(COMMAND_WORDS.values()) == set(CommandType)


def test_a_refusal_is_repeated_in_the_words_of_the_bridge(bridge, capsys):
    """The detail of the problem JSON is the sentence shown; the exit status is 1."""
    session = running(bridge.deps, "s")
    session.apply(Ended(Stage.ENDED), session.registered_at)

    assert cli.main(["command", "stop", "s"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("trainbridge: the bridge answered 409: this session is over")


def test_a_value_that_no_loop_can_use_is_refused(bridge, capsys):
    """The bridge's own sentence says what would be right."""
    running(bridge.deps, "s")

    assert cli.main(["command", "change-learning-rate", "s", "--set", "learning_rate=-1"]) == 1
    assert "learning_rate must be a finite number above 0" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nobody", "../../metrics?x"])
def test_an_unknown_session_says_where_to_find_the_known_ones(bridge, capsys, name):
    """Whatever is typed as a session stays one segment of the path."""
    assert cli.main(["command", "stop", name]) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        f"trainbridge: there is no session {name!r} on the bridge at {bridge.url}; "
    )
    assert "`trainbridge sessions` lists" in err


def test_the_history_names_who_asked_and_until_when(bridge, capsys, monkeypatch):
    """USER@HOST, as far as the machine knows it; with a time, until when the command is of use."""
    running(bridge.deps, "s")
    monkeypatch.setenv("LOGNAME", "alice")

    assert cli.main(["command", "pause", "s", "--expires-after", "60"]) == 0
    (command,) = bridge.deps.commands.of("s")
    assert command.source.startswith("program alice@")
    assert command.source.endswith(" at 127.0.0.1")
    assert 59.0 < command.expires_at - command.queued_at < 61.0


def test_a_command_that_expires_is_a_failure(bridge, capsys):
    """The sentence says that it will not be carried out."""
    running(bridge.deps, "s")

    assert (
        cli.main(["command", "pause", "s", "--expires-after", "0.000001", "--timeout", "60"]) == 1
    )
    assert "pause expired for s: its time was over" in capsys.readouterr().out
