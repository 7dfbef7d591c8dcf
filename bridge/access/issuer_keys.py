"""The keys of an issuer as far as they are known here, fetched again when it may have others."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from bridge.access.issuer import Issuer, fetch_keys
from bridge.access.jwks import VerificationKey, find_key
from bridge.errors import IssuerError, UnauthenticatedError
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

FRESH_SECONDS = 600.0
"""Keys that are older are fetched again when one of them is used."""

STALE_SECONDS = 86_400.0
"""Keys that are older verify nothing: the issuer may have withdrawn them since."""

PAUSE_SECONDS = 10.0
"""Between two fetches, whatever keys tokens ask for."""

WAIT_SECONDS = 15.0
"""That whoever shows a token with an unknown key waits for the issuer."""

MAX_WAITING = 1_000
"""Who wait for the issuer at once: anybody may show a token with a key that nobody knows."""

UNREACHED = (
    "the token that was shown cannot be verified now, since this bridge has not reached the issuer: try again; its operator"
    " finds the cause in its log, and at /readyz?verbose"
)


def _ignore(_works: bool) -> None:  # noqa: FBT001 -- a callback
    """Tell nobody."""


class IssuerKeys:
    """Finds the keys that tokens name. One fetch runs at a time, in a thread, and what it brought stays in use until the next."""

    def __init__(
        self,
        issuer: Issuer,
        telemetry: Telemetry,
        *,
        on_used: Callable[[bool], None] = _ignore,
        fetch: Callable[[Issuer], tuple[VerificationKey, ...]] = fetch_keys,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch nothing yet; `on_used` hears of each fetch whether it succeeded."""
        self._issuer = issuer
        self._telemetry = telemetry
        self._on_used = on_used
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_at = self._attempted_at = float("-inf")
        self._attempt: asyncio.Task[None] | None = None
        self._waiting = 0

    async def find(self, key_id: str, algorithm: str) -> VerificationKey | None:
        """Return a key; None: the issuer has no such key, or had none when it was last asked.

        Raises UnauthenticatedError where nothing is known of its keys.
        """
        key = self._known(key_id, algorithm)
        if key is None:
            await self._refreshed()
            key = self._known(key_id, algorithm)
        elif self._age() > FRESH_SECONDS:
            self._begin()
        if self._age() > STALE_SECONDS:
            raise UnauthenticatedError(UNREACHED)
        return key

    def holds(self, key: VerificationKey) -> bool:
        """Return whether a key that was found is still one of the issuer's, as far as is known; looks again now and then."""
        if self._age() > FRESH_SECONDS:
            self._begin()
        return key in self._keys

    def _known(self, key_id: str, algorithm: str) -> VerificationKey | None:
        return None if self._age() > STALE_SECONDS else find_key(self._keys, key_id, algorithm)

    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    async def _refreshed(self) -> None:
        attempt = self._begin()
        if attempt is None:
            return
        if self._waiting >= MAX_WAITING:
            raise UnauthenticatedError(UNREACHED)
        self._waiting += 1
        try:
            await asyncio.wait([attempt], timeout=WAIT_SECONDS)
        finally:
            self._waiting -= 1

    def _begin(self) -> "asyncio.Task[None] | None":
        """Return the fetch that runs or begins now; None: the last one was only just."""
        if self._attempt is not None and not self._attempt.done():
            return self._attempt
        if self._monotonic() - self._attempted_at < PAUSE_SECONDS:
            return None
        self._attempted_at = self._monotonic()
        self._attempt = asyncio.create_task(self._refresh(), name="fetch the issuer's keys")
        return self._attempt

    async def _refresh(self) -> None:
        try:
            self._keys = await run_in_daemon_thread(
                partial(self._fetch, self._issuer), name="fetch the issuer's keys"
            )
        except IssuerError:
            self._on_used(False)
            return
        except Exception as error:  # noqa: BLE001 -- the keys that are known stay in use
            self._telemetry.unexpected_error("issuer", error)
            self._on_used(False)
            return
        self._fetched_at = self._monotonic()
        self._on_used(True)
