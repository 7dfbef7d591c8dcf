"""Which token a bridge is shown over HTTP, where it goes, and what is said where it is not let in."""

import logging
import traceback

import pytest
from support.answers import answering
from support.guarded import guarded

from bridge.client import BridgeClient
from bridge.client.query import NoBridgeError, ProblemError

SECRET, NEWER = "tb_planted-first", "tb_planted-second"
SESSIONS = "/api/v1/sessions"


@pytest.fixture
def door():
    """Return a server that lets in who shows the token."""
    with guarded() as one:
        one.tokens = {SECRET}
        yield one


@pytest.fixture
def file(tmp_path):
    """Return a file with that token."""
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    return path


def refusal(client, query=lambda client: client.get(SESSIONS)):
    """Return the problem of a query, and everything that is ever shown of it."""
    with pytest.raises(ProblemError) as raised:
        query(client)
    shown = "".join(traceback.format_exception(raised.value))
    assert SECRET not in shown + repr(raised.value)
    assert NEWER not in shown
    return raised.value


def test_the_token_goes_with_every_request(door, file, monkeypatch):
    """Of the argument, of the file or of the environment, to read and to send."""
    clients = [
        BridgeClient(door.url, token=SECRET),
        BridgeClient(door.url, token_file=file),
    ]
    monkeypatch.setenv("TRAINBRIDGE_TOKEN", SECRET)
    clients.append(BridgeClient(door.url))

    for client in clients:
        assert list(client.sessions()) == []
        client.get_json(f"{SESSIONS}/run/commands", {"type": "PAUSE"})
        assert SECRET not in repr(client)

    assert {shown for _, shown in door.shown} == {f"Bearer {SECRET}"}
    assert len(door.shown) == 6


def test_a_renewed_token_is_shown_at_once(door, file):
    """The request that was not let in is repeated, once, and nobody notices."""
    client = BridgeClient(door.url, token_file=file)
    client.get(SESSIONS)
    door.tokens = {NEWER}
    file.write_text(NEWER)

    client.get_json(f"{SESSIONS}/run/commands", {"type": "PAUSE"})

    assert [shown for _, shown in door.shown] == [
        f"Bearer {SECRET}",
        f"Bearer {SECRET}",
        f"Bearer {NEWER}",
    ]
    door.tokens = set()
    refusal(client)
    assert len(door.shown) == 4


def test_no_token_was_given(door):
    """The bridge says by itself where to put one; something else that says only its status gets the same help."""
    problem = refusal(BridgeClient(door.url))
    assert str(problem) == "the bridge answered 401: nobody knows ''"

    with answering(401, b"<html>login</html>", "text/html") as url:
        problem = refusal(BridgeClient(url))
    assert "give a token in a file: token_file, --token-file or TRAINBRIDGE_TOKEN_FILE" in str(
        problem
    )


def test_a_token_that_is_not_let_in_is_named_by_where_it_is_from(door, file):
    """With what can be done about it, and what is wrong with the file by now."""
    door.tokens = set()
    text = str(refusal(BridgeClient(door.url, token=SECRET)))
    assert "nobody knows '[token]'" in text
    assert "that is the token from the argument token: give a valid one" in text

    client = BridgeClient(door.url, token_file=file)
    file.unlink()
    text = str(refusal(client))
    assert f"that is the token from the file {file} (token_file): write a valid one into it" in text
    assert "(when last read: it cannot be read now: No such file or directory)" in text


def test_a_token_without_the_role_and_a_session_of_others(door):
    """One sentence each says what to ask for; what a token may not see is not there."""
    client = BridgeClient(door.url, token=SECRET)
    door.hidden = {f"{SESSIONS}/theirs"}
    missing = refusal(client, lambda client: client.session("theirs"))
    door.forbidden = {SECRET}
    forbidden = refusal(client)

    assert (missing.status, forbidden.status) == (404, 403)
    assert str(missing).endswith(
        "no such session; a token sees the sessions that it is for, and no others"
    )
    assert str(forbidden).endswith(
        "has not the role view; that is the token from the argument token"
    )
    with answering(403, b"<html>no</html>", "text/html") as url:
        text = str(refusal(BridgeClient(url, token=SECRET)))
    assert "ask for one with the role for this (view reads," in text
    assert "if it is a proxy" in text


@pytest.mark.parametrize(
    "written",
    [SECRET, "".join(f"\\u{ord(letter):04x}" for letter in SECRET), f"{SECRET}\\u001b[2J\\n"],
)
def test_what_a_server_repeats_is_shown_without_the_token_and_on_one_line(written):
    """However it is written, and nothing of it moves the cursor of a terminal."""
    body = f'{{"title": "{written}", "detail": "who is {written}?"}}'.encode()
    for kind in ("application/problem+json", "text/plain"):
        with answering(400, body, kind) as url:
            problem = refusal(BridgeClient(url, token=SECRET))

        assert str(problem).isprintable()
        assert SECRET not in f"{problem.title} {problem.detail}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_never_follows_a_redirect_to_another_server(door, status):
    """Which another port of the same machine is, too; the sentence says where it would have gone."""
    with guarded() as other:
        door.redirects = {SESSIONS: (status, f"{other.url}/there")}
        problem = refusal(BridgeClient(door.url, token=SECRET))

        assert other.shown == [("/there", "")]
        assert f"that was {other.url}, to which it was redirected" in str(problem)


def test_a_token_follows_a_redirect_of_the_server_itself(door):
    """Such as one to the path with a slash at its end."""
    door.redirects = {SESSIONS: (308, f"{door.url}/here")}

    BridgeClient(door.url, token=SECRET).get(SESSIONS)

    assert door.shown[-1] == ("/here", f"Bearer {SECRET}")


def test_a_page_that_leads_to_the_login_is_not_let_in(door):
    """Its form is not taken for an image."""
    path = "/sessions/run/batches/1-0/0.jpg"
    door.redirects = {path: (303, f"{door.url}/login?next=x")}

    problem = refusal(
        BridgeClient(door.url, token=SECRET), lambda client: client.image("run", 1, 0, 0)
    )

    assert problem.status == 401
    assert [path for path, _ in door.shown] == [path]


def test_a_token_in_plain_text_to_another_machine_is_warned_of_once(caplog):
    """Not over TLS, nor to this machine, nor without a token."""
    with caplog.at_level(logging.WARNING, "trainbridge"):
        for _ in range(2):
            BridgeClient("http://plain-web.example", token=SECRET)
        BridgeClient("https://tls.example", token=SECRET)
        BridgeClient("http://127.0.0.1:1", token=SECRET)
        BridgeClient("http://without.example")

    (message,) = caplog.messages
    assert message.startswith("the token goes to http://plain-web.example in plain text")
    assert SECRET not in message


def test_nothing_of_a_token_is_in_what_is_said_of_a_bridge_that_is_away(file):
    """Nor of one that speaks another protocol."""
    client = BridgeClient("http://127.0.0.1:9", token_file=file)
    with pytest.raises(NoBridgeError) as raised:
        client.get(SESSIONS)

    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": f"{SECRET}\nx"}, "a line break"),
        ({"token_file": "/nowhere"}, "No such file"),
    ],
)
def test_a_token_that_cannot_be_used_is_refused_at_once(options, words):
    """With its source, and without being shown."""
    with pytest.raises((ValueError, OSError), match=words) as raised:
        BridgeClient("http://127.0.0.1:1", **options)

    assert SECRET not in str(raised.value)
