"""What a door asks for, and what it says to who cannot show it."""

from dataclasses import dataclass

import pytest

from bridge.access import ANYONE, Authentication, Credentials, Identity, Role
from bridge.access.authentication import OPEN
from bridge.access.credentials import LONGEST_TOKEN, token_of
from bridge.errors import UnauthenticatedError


@dataclass
class One:
    """Knows a single token."""

    token: str
    identity: Identity

    async def identify(self, credentials):
        """Return the identity of the token."""
        return self.identity if credentials.token == self.token else None

    def is_current(self, identity):
        """Return whether it is the one it knows."""
        return identity == self.identity


ALICE = Identity("alice", frozenset({Role.VIEW}), expires_at=100.0)
BOB = Identity("bob", frozenset({Role.VIEW}))
DOOR = Authentication((One("a", ALICE), One("b", BOB)), clock=lambda: 99.0)


async def test_a_door_without_authenticators_is_open():
    """Anybody may come in, whatever is shown."""
    assert await OPEN.identify(Credentials()) == ANYONE
    assert await OPEN.identify(Credentials("x")) == ANYONE
    assert OPEN.is_current(ANYONE)
    assert not OPEN.is_required


async def test_the_first_that_knows_credentials_says_who_it_is():
    """All of them are asked, in turn."""
    assert await DOOR.identify(Credentials("a")) == ALICE
    assert await DOOR.identify(Credentials("b")) == BOB
    assert DOOR.is_required


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (Credentials(), "none was shown"),
        (Credentials("secret"), "does not know the token"),
        (Credentials(certificate_names=("n",)), "client certificate"),
    ],
)
async def test_what_was_missing_decides_what_to_do(shown, expected):
    """Who has no credentials, unknown ones or an unknown certificate learns what to do, and nothing is repeated."""
    with pytest.raises(UnauthenticatedError, match=expected) as caught:
        await DOOR.identify(shown)
    assert "secret" not in str(caught.value)


async def test_expired_credentials_admit_nobody():
    """They are another case than unknown ones, so that their owner knows what to ask for."""
    late = Authentication(DOOR.authenticators, clock=lambda: 100.0)
    with pytest.raises(UnauthenticatedError, match="expired"):
        await late.identify(Credentials("a"))
    assert await late.identify(Credentials("b")) == BOB


def test_an_expired_identity_is_not_current():
    """Who was let in goes at the hour that the credentials name, and where nobody knows it any more."""
    assert DOOR.is_current(ALICE)
    assert DOOR.is_current(BOB)
    assert not Authentication(DOOR.authenticators, clock=lambda: 100.0).is_current(ALICE)
    assert not DOOR.is_current(Identity("eve", frozenset()))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", ""),
        ("Bearer", ""),
        ("", ""),
        ("Bearer \u00e9", ""),
        ("Bearer " + "x" * (LONGEST_TOKEN + 1), ""),
    ],
)
def test_a_token_is_what_follows_the_word_bearer(header, token):
    """The scheme is written in any case; what cannot be a token is none."""
    assert token_of(header) == token


def test_a_token_is_never_shown():
    """Credentials may stand in a log by accident."""
    assert "abc" not in repr(Credentials("abc"))
