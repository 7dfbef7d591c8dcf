"""Identifies by JSON Web Tokens of an issuer, and rules of whom their claims admit."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from bridge.access.credentials import LONGEST_TOKEN, Credentials
from bridge.access.identity import Identity
from bridge.access.issuer import Issuer
from bridge.access.issuer_keys import IssuerKeys
from bridge.access.jwks import VerificationKey
from bridge.access.jwt_parts import (
    LEEWAY_SECONDS,
    check_shown,
    expiry_of,
    is_jwt,
    read_unverified,
    verify,
)
from bridge.access.rules import Rules, identity_of
from bridge.access.watched_file import WatchedFile
from bridge.errors import UnauthenticatedError

VERIFIED_SECONDS = 60.0
"""A token is not verified again before: a page loads sixty images at once."""

MAX_VERIFIED = 10_000
MAX_VERIFIED_CHARACTERS = 16 << 20
"""Tokens that are remembered: so many, and so much of them."""

STREAM_SECONDS = 60.0
"""For which a stream may take to end once its token has expired."""

KEY = "jwt "


@dataclass(slots=True)
class Verified:
    """What is known of a token whose signature was verified."""

    key: VerificationKey
    claims: Mapping[str, Any]
    expires_at: float
    verified_at: float
    size: int
    rules: Rules | None = None
    identity: Identity | None = None
    """Whom these rules admit by it; None: nobody."""


class JsonWebTokens:
    """Identifies by the tokens of one issuer."""

    def __init__(
        self,
        issuer: Issuer,
        keys: IssuerKeys,
        rules: WatchedFile[Rules],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Ask the issuer for nothing before a token is shown."""
        self._issuer = issuer
        self._keys = keys
        self._rules = rules
        self._clock = clock
        self._verified: OrderedDict[str, Verified] = OrderedDict()
        self._characters = 0

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Return whom a token admits; None: it is of another kind.

        Raises UnauthenticatedError for one that is not good, with the reason.
        """
        token = credentials.token
        if not is_jwt(token) or len(token) > LONGEST_TOKEN:
            return None
        key = KEY + sha256(token.encode()).hexdigest()
        known = self._verified.get(key)
        if known is None or not self._is_recent(known) or not self._keys.holds(known.key):
            known = await self._verify(token)
            self._remember(key, known)
        identity = self._identity_of(key, known)
        if identity is None:
            raise UnauthenticatedError(
                f"no rule of this bridge admits {str(known.claims.get('sub'))[:200]!r}, though its token is good: ask the"
                " operator for a rule in access_rules_file that does"
            )
        return identity

    def is_current(self, identity: Identity) -> bool:
        """Return whether a token's key is still published, and the rules say the same of it, as far as it is remembered.

        It may have expired.
        """
        if not identity.key.startswith(KEY):
            return False
        known = self._verified.get(identity.key)
        if known is None:
            return True
        self._verified.move_to_end(identity.key)
        if not self._keys.holds(known.key):
            return False
        try:
            return self._identity_of(identity.key, known) == identity
        except UnauthenticatedError:
            return False

    async def _verify(self, token: str) -> Verified:
        shown = read_unverified(token)
        check_shown(shown, self._issuer)
        key = await self._keys.find(shown.key_id, shown.algorithm)
        if key is None:
            raise UnauthenticatedError(
                f"the token that was shown is signed with a key that {self._issuer.url} does not have, or no longer: get a"
                " new one from there"
            )
        claims = verify(token, key, self._issuer)
        return Verified(key, claims, expiry_of(claims), self._clock(), len(token))

    def _is_recent(self, known: Verified) -> bool:
        now = self._clock()
        is_expired = now >= known.expires_at + LEEWAY_SECONDS
        return not is_expired and 0 <= now - known.verified_at < VERIFIED_SECONDS

    def _identity_of(self, key: str, known: Verified) -> Identity | None:
        rules = self._rules.content()
        if known.rules is not rules:
            found = identity_of(rules.claims, known.claims)
            renew_at = known.expires_at + LEEWAY_SECONDS
            known.identity = found and replace(
                found, expires_at=renew_at + STREAM_SECONDS, renew_at=renew_at, key=key
            )
            known.rules = rules
        return known.identity

    def _remember(self, key: str, verified: Verified) -> None:
        self._forget(key)
        self._verified[key] = verified
        self._characters += verified.size
        while len(self._verified) > MAX_VERIFIED or self._characters > MAX_VERIFIED_CHARACTERS:
            self._forget(next(iter(self._verified)))

    def _forget(self, key: str) -> None:
        known = self._verified.pop(key, None)
        self._characters -= 0 if known is None else known.size
