"""Where an issuer's keys come from, and what is not taken for them."""

import json
import socket

import pytest
from support.certificates import Authority
from support.issuer import DISCOVERY, KEYS, running_issuer

from bridge.access import fetch
from bridge.access.issuer import Issuer, fetch_keys
from bridge.errors import IssuerError

SECRET = "secret-of-the-pod"


def known(issuer, **more):
    """Return an issuer as the settings name it."""
    return Issuer(issuer.url, "trainbridge", **more)


def refusal(issuer, **more):
    """Return why the keys cannot be had."""
    with pytest.raises(IssuerError) as caught:
        fetch_keys(known(issuer, **more))
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def bearer(tmp_path):
    """Return a file with a token for the issuer."""
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    return path


def test_keys_are_found_from_the_issuer(issuer):
    """Its configuration says where they are; or the settings do, and then it is not asked."""
    assert [key.id for key in fetch_keys(known(issuer))] == ["first"]
    assert issuer.fetches(DISCOVERY) == 1
    assert fetch_keys(known(issuer, jwks_url=issuer.url + KEYS))
    assert issuer.fetches(DISCOVERY) == 1


def test_a_token_is_shown_to_the_issuer_alone(issuer, bearer):
    """Not to where its configuration leads, unless that is the same server, or the one that the settings name."""
    fetch_keys(known(issuer, token_file=bearer))
    assert {shown for _, shown in issuer.requests} == {f"Bearer {SECRET}"}
    with running_issuer() as other:
        other.keys = issuer.keys
        configuration = {"issuer": issuer.url, "jwks_uri": other.url + KEYS}
        issuer.answers[DISCOVERY] = (200, {}, json.dumps(configuration).encode())
        assert fetch_keys(known(issuer, token_file=bearer))
        assert other.requests == [(KEYS, "")]
        bearer.write_text("renewed")
        assert fetch_keys(known(issuer, jwks_url=other.url + KEYS, token_file=bearer))
        assert other.requests[-1] == (KEYS, "Bearer renewed")


@pytest.mark.parametrize("content", ["", "a b", "a\nb", "x" * 20_000, "\u00e9"])
def test_a_file_without_a_token_is_named(issuer, bearer, content):
    """What stands in it is not repeated, and nothing is sent."""
    bearer.write_text(content)
    assert f"oidc_token_file is {bearer}" in refusal(issuer, token_file=bearer)
    assert not issuer.requests
    bearer.unlink()
    assert "No such file" in refusal(issuer, token_file=bearer)


def test_no_proxy_comes_between_this_machine_and_itself(issuer, monkeypatch):
    """An issuer on loopback may speak plain HTTP, since nobody is in between."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert fetch_keys(known(issuer))


def redirect(to):
    """Return an answer that leads elsewhere."""
    return (302, {"Location": to}, b"")


def test_a_redirect_is_not_followed(issuer):
    """Wherever it leads: the settings say where keys are."""
    with running_issuer() as other:
        issuer.answers[KEYS] = redirect(other.url + KEYS)
        assert "is not followed" in refusal(issuer)
        issuer.answers[DISCOVERY] = redirect(other.url + DISCOVERY)
        assert "is not followed" in refusal(issuer)
        assert not other.requests


LINKS = (
    "http://keys.example.org/keys",
    "file:///etc/passwd",
    "ftp://127.0.0.1/keys",
    "data:application/json,{}",
    "https://user:word@example.org/keys",
    "https://example.org:99999/keys",
    "https://exa\u0000mple.org/keys",
    "",
    None,
    5,
)


@pytest.mark.parametrize("link", LINKS)
def test_keys_come_over_no_way_that_others_may_change(issuer, link):
    """Whatever the configuration says: not from another machine without TLS, and not from a file."""
    issuer.answers[DISCOVERY] = (
        200,
        {},
        json.dumps({"issuer": issuer.url, "jwks_uri": link}).encode(),
    )
    assert "jwks_uri" in refusal(issuer)


def test_a_configuration_of_another_issuer_is_not_taken(issuer):
    """The reason says what stands in its tokens."""
    content = {"issuer": "https://other.example.org", "jwks_uri": issuer.url + KEYS}
    issuer.answers[DISCOVERY] = (200, {}, json.dumps(content).encode())
    assert "set oidc_issuer" in refusal(issuer)


def chunks(size, count):
    """Return an answer that goes on and on."""

    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(count):
                handler.wfile.write(b" " * size)
        except OSError:
            handler.close_connection = True

    return answer


def silence(handler):
    """Close the connection without an answer."""
    handler.close_connection = True


ANSWERS = {
    "more than 1 MiB": chunks(1 << 16, 100),
    "cannot be read": silence,
    "oidc_token_file": (401, {}, b""),
    "set oidc_token_file": (403, {}, b""),
    "set oidc_jwks_url": (404, {}, b""),
    "log of the issuer": (503, {}, b""),
    "is not what was looked for": (200, {}, b"[" * 200_000),
    "no JSON object": (200, {}, b"<html>"),
    "has no key": (200, {}, b'{"keys": 5}'),
}


@pytest.mark.parametrize("expected", ANSWERS)
def test_an_answer_without_keys_says_what_to_change(issuer, expected):
    """And names the address that was asked."""
    issuer.answers[KEYS] = ANSWERS[expected]
    text = refusal(issuer)
    assert expected in text
    assert issuer.url + KEYS in text


def test_a_slow_issuer_is_left(issuer, monkeypatch):
    """Whether it says nothing, or a little from time to time."""
    monkeypatch.setattr(fetch, "WHOLE_SECONDS", 0.0)
    assert "takes longer than 0 s" in refusal(issuer)
    monkeypatch.setattr(fetch, "SOCKET_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(IssuerError, match="no answer within"):
            fetch_keys(Issuer(url, "trainbridge"))


def test_an_issuer_that_is_away_is_said(issuer):
    """With the address and the cause."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(IssuerError, match="Connection refused"):
        fetch_keys(Issuer(url, "trainbridge"))


def test_the_issuer_proves_who_it_is(tmp_path):
    """By a certificate of the authority that the settings name, or of one that the system knows."""
    authority, stranger = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    with running_issuer(authority.issue("issuer")) as issuer:
        assert fetch_keys(known(issuer, ca_file=authority.file))
        assert "set oidc_ca_file" in refusal(issuer, ca_file=stranger.file)
        assert "set oidc_ca_file" in refusal(issuer)
        (tmp_path / "empty").write_text("")
        assert "not a PEM file" in refusal(issuer, ca_file=tmp_path / "empty")
