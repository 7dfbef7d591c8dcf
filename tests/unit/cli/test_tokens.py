"""Commands show a bridge a token from a file, from standard input or from the environment, and say what it lacks."""

import io
import sys

import pytest
from support.guarded import guarded

from bridge import cli

SECRET, NEWER = "tb_planted-first", "tb_planted-second"

COMMANDS = (
    ("sessions",),
    ("sessions", "watch", "run"),
    ("sessions", "show", "run"),
    ("sessions", "compare", "run"),
    ("sessions", "delete", "run", "--yes"),
    ("command", "pause", "run"),
    ("commands", "run"),
    ("healthcheck",),
)


@pytest.fixture
def door(monkeypatch):
    """Serve a door that lets in who shows the token; commands find it by themselves."""
    with guarded() as one:
        one.tokens = {SECRET}
        monkeypatch.setenv("TRAINBRIDGE_URL", one.url)
        yield one


@pytest.fixture
def file(tmp_path):
    """Return a file with that token."""
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    return path


def outcome(capsys, *words):
    """Run a command in this process; return its exit status and what it says."""
    try:
        status = cli.main(words)
    except SystemExit as leaving:
        status = leaving.code
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert NEWER not in said.out + said.err
    return status, said.err


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_takes_the_file_of_a_token(door, file, capsys, words):
    """And shows it with its first request, which is its last one where it is not let in."""
    door.tokens = set()
    outcome(capsys, *words, "--token-file", str(file))

    assert [shown for _, shown in door.shown] == [f"Bearer {SECRET}"]


def test_a_token_from_standard_input_or_from_the_environment(door, file, capsys, monkeypatch):
    """What is given comes before the variables."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    assert outcome(capsys, "sessions", "--token-file", "-") == (0, "")
    monkeypatch.setenv("TRAINBRIDGE_TOKEN_FILE", str(file))
    assert outcome(capsys, "sessions") == (0, "")
    monkeypatch.setenv("TRAINBRIDGE_TOKEN", NEWER)
    assert outcome(capsys, "sessions", "--token-file", str(file)) == (0, "")
    assert outcome(capsys, "sessions")[0] == 1

    assert [shown for _, shown in door.shown] == [f"Bearer {SECRET}"] * 3 + [f"Bearer {NEWER}"]


def test_there_is_no_flag_for_the_token_itself(door, capsys):
    """Everybody on the machine would see it; what looks like one points to the file."""
    status, err = outcome(capsys, "commands", "run", "--token", "x")

    assert status == 2
    assert "--token-file" in err
    assert not door.shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("sessions", "--token-file", "/nowhere"),
            "trainbridge: /nowhere: No such file or directory (token_file); give a file that is there",
        ),
        (("sessions", "--token-file", "-"), "standard input holds no token"),
        (("mcp", "--token-file", "-"), "standard input belongs to the assistant"),
        (("run", "--token-file", "-", "--", "true"), "standard input belongs to the program"),
        (("sync", ".", "--token-file", "/nowhere"), "/nowhere"),
        (("sync", ".", "--token-file", "-"), "standard input holds no token"),
        (("canary", "--token-file", "/nowhere"), "/nowhere"),
        (("demo", "--address", "h:1", "--token-file", "/nowhere"), "/nowhere"),
    ],
)
def test_a_file_that_cannot_be_used(capsys, monkeypatch, words, expected):
    """One sentence, and the exit status of what must be changed."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    status, err = outcome(capsys, *words)

    assert status == 2
    assert expected in err
    assert "Errno" not in err
    assert err.count("\n") == 1


def test_what_a_token_lacks_is_one_sentence(door, file, capsys):
    """Unknown, without the role, or for other sessions; all of them fail."""
    door.hidden = {"/api/v1/sessions/theirs", "/api/v1/sessions/theirs/commands"}
    shown = [
        outcome(capsys, *words, "--token-file", str(file))
        for words in (("sessions", "show", "theirs"), ("command", "stop", "theirs"))
    ]
    door.forbidden = {SECRET}
    shown.append(outcome(capsys, "sessions", "--token-file", str(file)))
    door.tokens = set()
    shown.append(outcome(capsys, "sessions", "--token-file", str(file)))

    assert [status for status, _ in shown] == [1] * 4
    assert [err.count("\n") for _, err in shown] == [1] * 4
    assert all("a token sees the sessions that it is for" in err for _, err in shown[:2])
    assert "has not the role view; that is the token from the file" in shown[2][1]
    assert "write a valid one into it" in shown[3][1]


def test_the_token_of_a_demo_is_for_a_bridge_that_runs(capsys, file):
    """The demo's own bridge asks for none."""
    status, err = outcome(capsys, "demo", "--token-file", str(file))

    assert status == 1
    assert "give --address, too" in err
