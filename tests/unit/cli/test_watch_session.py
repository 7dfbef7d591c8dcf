"""`trainbridge sessions watch`, against a bridge's real HTTP server."""

import io
import itertools
import json
import threading

import pytest
from support.pages import running
from support.waiting import until_true

from bridge import cli
from bridge.lifecycle import Ended
from bridge.model import Batch, Stage, Status, StatusChange

QUICK = ("--interval", "0.01")


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def end(session, status):
    """Let a session end."""
    session.apply(StatusChange(status), session.updated_at)
    session.apply(Ended(Stage.ENDED), session.updated_at)


@pytest.mark.parametrize(("status", "expected"), [(Status.COMPLETED, 0), (Status.FAILED, 1)])
def test_the_exit_status_is_how_it_ended(bridge, capsys, status, expected):
    """0 for a run that completed, 1 for any other end."""
    end(running(bridge.deps, "s"), status)

    assert cli.main(["sessions", "watch", "s"]) == expected
    assert f"s  {status.name.lower()}" in capsys.readouterr().out


def test_each_change_is_a_line(bridge, monkeypatch):
    """While it runs, and the last line is its end; nothing is printed twice."""
    session = running(bridge.deps, "s", batches=0)
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)

    def train():
        until_true(lambda: out.getvalue().count("\n") == 1)
        session.apply(Batch(1, 1, 0.5), session.registered_at)
        until_true(lambda: out.getvalue().count("\n") == 2)
        end(session, Status.COMPLETED)

    thread = threading.Thread(target=train)
    thread.start()
    status = cli.main(["sessions", "watch", "--json", *QUICK])
    thread.join()

    seen = [json.loads(line) for line in out.getvalue().splitlines()]
    assert status == 0
    assert [one["loss"] for one in seen[:2]] == [None, 0.5]
    assert seen[-1]["state"] == "completed"
    assert all(before != after for before, after in itertools.pairwise(seen))


def test_a_terminal_is_drawn_over(bridge, monkeypatch):
    """The second screen takes the place of the first."""
    session = running(bridge.deps, "s")
    out = Screen()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")

    thread = threading.Thread(
        target=lambda: (
            until_true(lambda: "s  running" in out.getvalue()),
            end(session, Status.COMPLETED),
        )
    )
    thread.start()
    assert cli.main(["sessions", "watch", "s", *QUICK]) == 0
    thread.join()
    first, second = out.getvalue().split("\x1b[J")[:2]
    assert first.endswith(f"\x1b[{first.count(chr(10))}F")
    assert second


def test_without_a_name_it_is_the_one_that_runs(bridge, capsys):
    """None or several are answered with what to do."""
    assert cli.main(["sessions", "watch"]) == 1
    assert "no session runs on the bridge" in capsys.readouterr().err
    running(bridge.deps, "one")
    running(bridge.deps, "two")
    assert cli.main(["sessions", "watch"]) == 1
    err = capsys.readouterr().err
    assert "several sessions run, name one of them" in err
    assert all(name in err for name in ("one", "two"))
