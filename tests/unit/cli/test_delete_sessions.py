"""`trainbridge sessions delete`, against a bridge's real HTTP server."""

import io
import sys

import pytest
from support.pages import running

from bridge import cli
from bridge.errors import SessionRunningError
from bridge.model import Client, Config


class Terminal(io.StringIO):
    """A person at a keyboard."""

    def isatty(self):
        """Return True."""
        return True


def asked(bridge):
    """Return what the bridge was asked to delete, without who asked."""
    return [each[:3] for each in bridge.deps.delete_session.asked]


def test_sessions_are_deleted(bridge, capsys):
    """Each once, with or without images, in the words of the flags."""
    for name in ("run-1", "run-2"):
        running(bridge.deps, name)

    assert cli.main(["sessions", "delete", "run-1", "run-1", "--yes"]) == 0
    assert cli.main(["sessions", "delete", "--images", "--force", "--yes", "run-2"]) == 0
    assert asked(bridge) == [("run-1", False, False), ("run-2", True, True)]
    assert capsys.readouterr().out.splitlines() == [
        "run-1 is deleted, without its images",
        "run-2 is deleted, and its images",
    ]


def test_one_attempt_is_deleted(bridge, capsys):
    """By its number; the question and the answer name it."""
    bridge.deps.sessions.register("run-1", Client(), Config())

    assert cli.main(["sessions", "delete", "run-1", "--attempt", "1", "--yes"]) == 0
    assert cli.main(["sessions", "delete", "run-1", "--attempt", "7", "--yes"]) == 1

    output = capsys.readouterr()
    assert output.out == "attempt 1 of run-1 is deleted, without its images\n"
    assert "run-1: this session has no attempt 7: kept are 1" in output.err
    assert asked(bridge) == [(("run-1", 1), False, False)]


def test_one_that_is_refused_does_not_stop_the_others(bridge, capsys):
    """Unknown or still running: said on stderr, and by the exit status."""
    running(bridge.deps, "run-1")

    assert cli.main(["sessions", "delete", "nobody", "run-1", "--yes"]) == 1
    assert asked(bridge) == [("run-1", False, False)]
    assert "nobody: there is no session with this name" in capsys.readouterr().err
    bridge.deps.delete_session.error = SessionRunningError("stop its training first")
    assert cli.main(["sessions", "delete", "run-1", "--yes"]) == 1
    assert "run-1: stop its training first" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("Yes\n", 0), ("n\n", 1), ("", 1)])
def test_a_person_is_asked(bridge, monkeypatch, capsys, answer, status):
    """And anything but yes is no."""
    running(bridge.deps, "run-1")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))

    assert cli.main(["sessions", "delete", "run-1", "--images"]) == status
    assert len(asked(bridge)) == (status == 0)
    assert "Delete run-1 and all their images from the bridge" in capsys.readouterr().out


def test_a_script_must_say_yes(bridge, monkeypatch, capsys):
    """Nothing is deleted by an end of file."""
    running(bridge.deps, "run-1")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    assert cli.main(["sessions", "delete", "run-1"]) == 2
    assert asked(bridge) == []
    assert "give --yes" in capsys.readouterr().err


def test_the_url_may_stand_on_either_side(bridge, monkeypatch):
    """As with any other flag."""
    running(bridge.deps, "run-1")
    monkeypatch.delenv("TRAINBRIDGE_URL", raising=False)

    for words in (
        ["--url", bridge.url, "delete", "run-1"],
        ["delete", "run-1", "--url", bridge.url],
    ):
        assert cli.main(["sessions", *words, "--yes"]) == 0
    assert len(asked(bridge)) == 2
