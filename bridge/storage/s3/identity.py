"""The credentials that requests are signed with, renewed before they expire."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from minio.credentials.credentials import Credentials
from minio.credentials.providers import Provider

from bridge.errors import StorageError

Source = Callable[[], "Credentials | str"]
"""Returns credentials, or where it found none and why; raises StorageError where they are set and fail."""

RENEWED_BEFORE = timedelta(minutes=5)
"""Credentials are renewed so long before they expire."""

READ_AGAIN_SECONDS = 60.0
"""Credentials without an end are looked for again after this: somebody may have replaced them in their file."""

RETRY_SECONDS = 5.0
LOOKUP_SECONDS = 10.0
"""However slowly a metadata service answers, nothing waits for it longer."""

WAY_OUT = "give --s3-access-key and --s3-secret-key, or one of the identities of docs/images.md (S3, Identities)"


class Identity(Provider):
    """Takes the first credentials that its sources have; any thread may ask for them."""

    def __init__(
        self, sources: Sequence[Source], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask nothing before the first request."""
        self._sources = sources
        self._clock = clock
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._read_at = 0.0
        self._failure = ""
        self._next_at = 0.0
        self._lookup: threading.Thread | None = None

    def retrieve(self) -> Credentials:
        """Return credentials that have not expired; raises StorageError where there are none."""
        with self._lock:
            if not self._is_fresh() and self._clock() >= self._next_at:
                self._look_up()
            found = self._credentials
            if found is None or self._left(found) <= timedelta(0):
                raise StorageError(self._failure)
            return found

    def _is_fresh(self) -> bool:
        if self._credentials is None:
            return False
        if self._credentials.expiration is None:
            return self._clock() - self._read_at < READ_AGAIN_SECONDS
        return self._left(self._credentials) > RENEWED_BEFORE

    @staticmethod
    def _left(credentials: Credentials) -> timedelta:
        if credentials.expiration is None:
            return timedelta.max
        return credentials.expiration - datetime.now(UTC).replace(tzinfo=None)

    def _look_up(self) -> None:
        """Ask the sources in a thread, for a bounded time; one that hangs is not asked a second time meanwhile."""
        if self._lookup is None or not self._lookup.is_alive():
            self._lookup = threading.Thread(target=self._ask, name="credentials", daemon=True)
            self._failure = f"no credentials: no answer within {LOOKUP_SECONDS:.0f} s: {WAY_OUT}"
            self._lookup.start()
        self._lookup.join(LOOKUP_SECONDS)
        self._next_at = self._clock() + RETRY_SECONDS

    def _ask(self) -> None:
        try:
            self._credentials = first_of(self._sources)
            self._read_at = self._clock()
        except StorageError as error:
            self._failure = str(error)
        except Exception as error:  # noqa: BLE001 -- a service may answer anything; it costs this try
            self._failure = f"no credentials: {type(error).__name__}: {WAY_OUT}"


def first_of(sources: Sequence[Source]) -> Credentials:
    """Return the first credentials there are; raises StorageError that names every place where there were none."""
    looked_at = []
    for source in sources:
        found = source()
        if isinstance(found, Credentials):
            return found
        looked_at.append(found)
    raise StorageError(f"no credentials found: looked at {'; '.join(looked_at)}: {WAY_OUT}")
