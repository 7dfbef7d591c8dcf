"""`trainbridge token`: makes tokens, lists them, and says who one is."""

import io
import json
import math
import re
import time

import pytest
import yaml
from support.access import Granted, asking_for
from support.pages import deps_in
from support.served_app import served_app

from bridge import cli
from bridge.access.tokens import hash_of_token, read_tokens

TOKEN = re.compile(r"tb_[A-Za-z0-9_-]{43}\n")


@pytest.fixture
def file(tmp_path):
    """Return where a tokens file is to be."""
    return tmp_path / "tokens.yaml"


@pytest.fixture
def made(capsys, file):
    """Return a function that makes a token in the file, and returns it."""

    def make(*words):
        assert cli.main(["token", "new", *words, "--file", str(file)]) == 0
        return capsys.readouterr().out.strip()

    return make


def refusal(capsys, *words):
    """Return what a command says of words that it does not take."""
    try:
        status = cli.main(["token", *words])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    return capsys.readouterr().err


def test_a_token_alone_goes_to_standard_output(capsys):
    """So that it can be put into a file; the entry for the operator stands beside it, without the token."""
    assert cli.main(["token", "new", "grafana", "--roles", "view"]) == 0
    shown = capsys.readouterr()
    assert TOKEN.fullmatch(shown.out)
    [entry] = yaml.safe_load(re.search(r"^- .*?(?=^\n)", shown.err, re.MULTILINE | re.DOTALL)[0])
    assert entry == {
        "name": "grafana",
        "sha256": hash_of_token(shown.out.strip()),
        "roles": ["view"],
    }
    assert shown.out.strip() not in shown.err


def test_a_file_gets_the_entry(made, file):
    """As a bridge takes it, with all that was asked for."""
    token = made("team", "--roles", "ingest,control", "--sessions", "team-a.", "--expires", "90d")
    [entry] = read_tokens(file)
    assert entry.sha256 == hash_of_token(token)
    assert entry.identity.sessions == "team-a."
    assert entry.identity.roles == {"ingest", "control", "view"}
    assert abs(entry.identity.expires_at - time.time() - 90 * 86_400) < 600


def test_the_same_name_is_not_given_twice(made, file, capsys):
    """A second token would take the place of nobody knows which."""
    made("alice", "--roles", "view")
    before = file.read_text()
    assert "alice already" in refusal(
        capsys, "new", "alice", "--roles", "view", "--file", str(file)
    )
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("new", "x"), "--roles"),
        (("new", "x", "--roles", "admin"), "ingest, view, control, metrics"),
        (("new", "x", "--roles", ""), "ingest, view, control, metrics"),
        (("new", "-", "--roles", "view"), "letters, digits"),
        (("new", "x", "--roles", "view", "--sessions", "a b"), "separator"),
        (("new", "x", "--roles", "view", "--expires", "soon"), "90d"),
        (("new", "x", "--roles", "view", "--expires", "2001-01-01"), "a time to come"),
        (("new", "x", "--roles", "view", "--expires", "0d"), "a time to come"),
        (("new", "x", "--roles", "view", "--expires", "999999w"), "a time to come"),
        (("list",), "--file"),
        (("list", "--file", "/missing"), "/missing"),
        ((), "ACTION"),
        (("make",), "new"),
    ],
)
def test_what_is_not_taken_is_said(capsys, words, expected):
    """With what to give instead."""
    assert expected in refusal(capsys, *words)


@pytest.mark.parametrize("given", ["never", "12h", "2099-12-31", "2099-12-31T12:00:00+02:00"])
def test_an_end_is_given_as_people_do(made, file, given):
    """A date means its end, in UTC."""
    made("x", "--roles", "view", "--expires", given)
    [entry] = read_tokens(file)
    expected = {
        "never": math.inf,
        "2099-12-31": 4_102_444_799,
        "2099-12-31T12:00:00+02:00": 4_102_394_400,
    }
    assert entry.identity.expires_at == expected.get(given, entry.identity.expires_at)


def test_weak_tokens_are_made_with_a_warning(capsys):
    """Whoever needs them knows why."""
    cli.main(["token", "new", "x", "--roles", "control", "--sessions", "team"])
    warned = capsys.readouterr().err
    assert "--expires" in warned
    assert "such as team." in warned


def test_a_list_shows_all_but_hashes(made, file, capsys):
    """Names, roles, prefixes, ends and what is weak; for scripts as JSON."""
    made("alice", "--roles", "control", "--expires", "2099-12-31")
    made("trainers", "--roles", "ingest", "--sessions", "team")
    assert cli.main(["token", "list", "--file", str(file)]) == 0
    shown = capsys.readouterr()
    assert [line.split() for line in shown.out.splitlines()] == [
        ["NAME", "ROLES", "SESSIONS", "EXPIRES", "STATE"],
        ["alice", "control,view", "all", "2099-12-31", "23:59Z", "good"],
        ["trainers", "ingest", "team", "never", "good"],
    ]
    assert "such as team." in shown.err
    assert cli.main(["token", "list", "--file", str(file), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in content["tokens"]] == ["alice", "trainers"]
    assert len(content["weaknesses"]) == 1
    assert not any(entry.sha256 in shown.out + str(content) for entry in read_tokens(file))
    file.write_text("")
    cli.main(["token", "list", "--file", str(file)])
    assert "trainbridge token new" in capsys.readouterr().out


def checked(monkeypatch, capsys, token, *words):
    """Return the status and the answer of a check of a token on standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{token}\n"))
    status = cli.main(["token", "check", *words])
    shown = capsys.readouterr()
    assert not token or token not in shown.out + shown.err
    return status, shown.out + shown.err


def test_a_file_says_who_a_token_is(made, file, capsys, monkeypatch, tmp_path):
    """From standard input or from the file that a variable names."""
    token = made("alice", "--roles", "view", "--sessions", "team-a.", "--expires", "2099-12-31")
    status, text = checked(monkeypatch, capsys, token, "--file", str(file))
    assert status == 0
    for part in ("alice", "view", "begin with team-a.", "2099-12-31 23:59Z"):
        assert part in text
    status, text = checked(monkeypatch, capsys, "tb_wrong", "--file", str(file))
    assert (status, "no such token" in text) == (1, True)
    file.write_text(file.read_text().replace("2099", "2001"))
    status, text = checked(monkeypatch, capsys, token, "--file", str(file))
    assert (status, "has expired" in text) == (1, True)
    status, text = checked(monkeypatch, capsys, "", "--file", str(file))
    assert (status, "no token was given" in text) == (2, True)
    (tmp_path / "token").write_text(token)
    monkeypatch.setenv("TRAINBRIDGE_TOKEN_FILE", str(tmp_path / "token"))
    assert cli.main(["token", "check", "--file", str(file)]) == 1


def test_a_bridge_says_who_a_token_is(tmp_path, capsys, monkeypatch):
    """Who may not view is known all the same, and who is unknown learns what to do."""
    viewer, trainer = Granted(("view",)), Granted(("ingest",))
    deps, shelf = deps_in(
        tmp_path, authentication=asking_for(tmp_path / "tokens.yaml", (viewer, trainer))
    )
    with served_app(deps) as url:
        status, text = checked(monkeypatch, capsys, viewer.token, "--url", url)
        assert (status, "role view" in text) == (0, True)
        status, text = checked(monkeypatch, capsys, trainer.token, "--url", url)
        assert (status, "ingest of all" in text) == (0, True)
        status, text = checked(monkeypatch, capsys, "tb_wrong", "--url", url)
        assert (status, "does not know the token" in text) == (1, True)
    shelf.database.close()
