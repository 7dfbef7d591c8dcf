"""`trainbridge sessions compare`, against a bridge's real HTTP server."""

import json

import pytest
from support.pages import running

from bridge import cli
from bridge.model import Batch, Scalars


@pytest.fixture
def two(bridge):
    """Register two sessions with different results."""
    for name, loss in (("run-1", 0.25), ("run-2", 0.75)):
        session = running(bridge.deps, name, batches=2)
        session.apply(Batch(1, 5, loss), session.registered_at)
        session.apply(Scalars(1, 5, {"perplexity": loss * 8}), session.registered_at)
    return bridge


def test_sessions_stand_side_by_side(two, capsys):
    """A column each: results, a curve, and the last values of what they log."""
    assert cli.main(["sessions", "compare", "run-1", "run-2"]) == 0
    out = capsys.readouterr().out
    cells = [line.split() for line in out.splitlines()]
    rows = {" ".join(row[:-2]): row[-2:] for row in cells}
    assert out.split()[:2] == ["run-1", "run-2"]
    assert rows["last loss"] == ["0.25", "0.75"]
    assert rows["perplexity"] == ["2", "6"]
    assert "loss by step" in rows


def test_as_json_it_is_the_comparison_of_the_api(two, capsys):
    """With the curve that was asked for."""
    words = ["sessions", "compare", "run-1", "run-2", "--curve", "perplexity", "--json"]
    assert cli.main(words) == 0
    compared = json.loads(capsys.readouterr().out)
    assert [one["session_id"] for one in compared["sessions"]] == ["run-1", "run-2"]
    assert [line["points"][-1]["mean"] for line in compared["curve"]["lines"]] == [2.0, 6.0]


def test_one_that_is_not_there_is_said(two, capsys):
    """The others are compared, and the exit status says that one is missing."""
    assert cli.main(["sessions", "compare", "run-1", "nobody"]) == 1
    out, err = capsys.readouterr()
    assert "run-1" in out
    assert "nobody: not on this bridge" in err
    assert cli.main(["sessions", "compare", "nobody"]) == 1
    assert "none of these sessions" in capsys.readouterr().err
