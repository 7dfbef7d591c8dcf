"""What is said of a tokens file that a bridge takes and that is weak all the same."""

import math

import pytest

from bridge.access import Identity, Role
from bridge.access.tokens import TokenEntry
from bridge.access.weaknesses import weaknesses

NOW = 1_800_000_000.0
DAY = 86_400


def found(*, roles=(Role.VIEW,), sessions="", expires_at=math.inf):
    """Return what is weak about one token."""
    identity = Identity("alice", frozenset(roles), sessions, expires_at)
    return list(weaknesses([TokenEntry("a" * 64, identity)], NOW))


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        ({"sessions": "team"}, "such as team."),
        ({"roles": [Role.CONTROL]}, "never expires"),
        ({"expires_at": NOW}, "has expired"),
        ({"expires_at": NOW + 3 * DAY}, "within 4 days"),
    ],
)
def test_a_weakness_is_said_once(grant, expected):
    """With the name of the token, and what to do; never its hash."""
    [sentence] = found(**grant)
    assert expected in sentence
    assert "alice" in sentence
    assert "a" * 64 not in sentence


@pytest.mark.parametrize(
    "grant",
    [
        {},
        {"sessions": "team."},
        {"sessions": "canary-"},
        {"roles": [Role.CONTROL], "expires_at": NOW + 90 * DAY},
    ],
)
def test_what_is_strong_is_not_mentioned(grant):
    """Who reads a warning should have something to do."""
    assert found(**grant) == []
