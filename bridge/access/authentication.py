"""Finds out who somebody is, at a door that wants to know."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.access.credentials import Credentials
from bridge.access.identity import ANYONE, Identity
from bridge.errors import UnauthenticatedError

NO_CREDENTIALS = (
    "this bridge admits only who shows a token, and none was shown: ask its operator for one"
    " (`trainbridge token new` makes them), and send it as `Authorization: Bearer TOKEN`; clients of trainbridge"
    " take it from TRAINBRIDGE_TOKEN_FILE or TRAINBRIDGE_TOKEN"
)
UNKNOWN_CREDENTIALS = (
    "this bridge does not know the token that was shown: it may be of another bridge, or have been removed or"
    " replaced; ask the operator for a new one"
)
EXPIRED = "the token that was shown has expired: ask the operator of this bridge for a new one"
UNKNOWN_CERTIFICATE = (
    "no rule of this bridge admits the client certificate that was shown, and no token was shown: ask its operator"
    " for either"
)


class Authenticator(Protocol):
    """Knows one kind of credentials."""

    async def identify(self, credentials: Credentials, /) -> Identity | None:
        """Return who shows these credentials; None: they are unknown here, or of another kind.

        Raises UnauthenticatedError for some of its own kind that admit nobody, with the reason.
        """

    def is_current(self, identity: Identity, /) -> bool:
        """Return whether an identity that it has returned is still to be let in; False for any other."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """What one door asks for."""

    authenticators: Sequence[Authenticator] = ()
    """Asked in turn; none: the door is open to anybody."""
    clock: Callable[[], float] = time.time

    @property
    def is_required(self) -> bool:
        """Whether the door asks for anything."""
        return bool(self.authenticators)

    async def identify(self, credentials: Credentials) -> Identity:
        """Return who shows these credentials; raises UnauthenticatedError where nobody is known by them."""
        if not self.authenticators:
            return ANYONE
        for authenticator in self.authenticators:
            found = await authenticator.identify(credentials)
            if found is not None and self.clock() >= found.expires_at:
                raise UnauthenticatedError(EXPIRED)
            if found is not None:
                return found
        if credentials.token:
            raise UnauthenticatedError(UNKNOWN_CREDENTIALS)
        raise UnauthenticatedError(
            UNKNOWN_CERTIFICATE if credentials.certificate_names else NO_CREDENTIALS
        )

    def is_current(self, identity: Identity) -> bool:
        """Return whether somebody who was let in is still to be."""
        if not self.authenticators:
            return True
        if self.clock() >= identity.expires_at:
            return False
        return any(each.is_current(identity) for each in self.authenticators)


OPEN = Authentication()
"""A door that asks for nothing."""
