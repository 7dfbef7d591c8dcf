"""What one bridge signs is what the other reads, and nothing that anybody has touched, or that comes too late."""

import base64
import dataclasses
import hashlib
import hmac
import json
import math

import pytest

from bridge.access import Identity, Role
from bridge.errors import PermissionDeniedError
from bridge.web.peers.ticket import GOOD_SECONDS, LONGEST, Ticket, body_hash, opened, signed

SECRET = b"secret of the database"
NOW = 1_700_000_000.0
VIEWER = Identity("Ann\u00e9 of a", frozenset({Role.VIEW}), "a.", NOW + 30)
TICKET = Ticket(
    *("b", "GET", "/sessions/a.run?x=1", NOW, VIEWER),
    *("bridge.example:8080", "https", "10.0.0.7", True, body_hash(b"images=on")),
)

CONTENT = json.loads(base64.urlsafe_b64decode(signed(TICKET, SECRET).partition(".")[0]))


def test_what_is_signed_is_read():
    """Identity, request and origin come out as they went in; so does one that never expires."""
    assert opened(signed(TICKET, SECRET), SECRET, now=NOW) == TICKET
    anybody = dataclasses.replace(TICKET, identity=Identity("", frozenset(Role)))
    assert opened(signed(anybody, SECRET), SECRET, now=NOW).identity.expires_at == math.inf


def test_a_header_has_only_characters_that_headers_have():
    """A name may have any letters."""
    assert signed(TICKET, SECRET).isascii()


@pytest.mark.parametrize(
    "given",
    [
        *("", ".", "x", "x.y", "\u00e9.\u00e9", "." + "0" * 64, "x" * (LONGEST + 1)),
        signed(TICKET, b"another secret"),
        signed(TICKET, SECRET).upper(),
        signed(TICKET, SECRET)[:-1],
        signed(TICKET, SECRET) + "0",
        signed(TICKET, SECRET).partition(".")[0],
    ],
)
def test_what_was_not_signed_is_refused(given):
    """There is one reason for all of it, which says nothing of what was right."""
    with pytest.raises(PermissionDeniedError, match="does not prove it"):
        opened(given, SECRET, now=NOW)


def test_not_a_character_may_be_changed():
    """A signature holds for one content alone."""
    header = signed(TICKET, SECRET)
    text, _, proof = header.partition(".")
    content = {**CONTENT, "roles": ["control", "view"]}
    forged = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    for changed in (f"{forged}.{proof}", f"{text}.{proof[::-1]}"):
        with pytest.raises(PermissionDeniedError):
            opened(changed, SECRET, now=NOW)


def test_nothing_is_good_without_a_secret():
    """A bridge with a database of its own believes nobody, and signs nothing."""
    with pytest.raises(ValueError, match="nothing to sign with"):
        signed(TICKET, b"")
    with pytest.raises(PermissionDeniedError):
        opened(signed(TICKET, SECRET), b"", now=NOW)


@pytest.mark.parametrize("passed", [-GOOD_SECONDS - 1, 31, GOOD_SECONDS + 1, math.nan])
def test_it_is_good_for_a_minute_at_most(passed):
    """Neither from a clock that is far off, nor after the credentials have expired."""
    with pytest.raises(PermissionDeniedError, match="too long ago"):
        opened(signed(TICKET, SECRET), SECRET, now=NOW + passed)


def test_what_is_signed_by_another_version_is_refused_without_a_fault():
    """A field that is missing, or a role that is not known, makes no error of the bridge."""
    for changed in ([], {}, {**CONTENT, "roles": ["king"]}, {**CONTENT, "at": "x"}):
        with pytest.raises(PermissionDeniedError):
            opened(_as_signed(changed), SECRET, now=NOW)


def test_what_a_newer_version_adds_is_left_out():
    """Two neighbouring versions run side by side while bridges are replaced one by one."""
    assert opened(_as_signed({**CONTENT, "new": 1}), SECRET, now=NOW) == TICKET


def test_a_request_that_is_too_long_for_a_header_is_not_signed():
    """No bridge would take it."""
    with pytest.raises(ValueError, match="too long"):
        signed(dataclasses.replace(TICKET, target="/" + "x" * LONGEST), SECRET)


def _as_signed(content):
    text = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    return f"{text}.{hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()}"
