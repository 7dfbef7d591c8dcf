"""Answers which images the object store has of a session, whichever bridge has received them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Self, TypeVar

from bridge.errors import NotFoundError, OverloadedError, StorageError
from bridge.sinks.images.elsewhere.asked_names import AskedNames
from bridge.sinks.images.elsewhere.listing import Listing, list_shards
from bridge.sinks.images.elsewhere.parsed_shards import ParsedShards, parsed_shards
from bridge.sinks.images.elsewhere.stored_session import StoredSession
from bridge.sinks.images.shards.tails import Tail, fetch_tail
from bridge.storage.deletions import Deletion
from bridge.storage.index_cache import IndexCache
from bridge.storage.objects import ObjectStore, StoredObject
from bridge.telemetry import Telemetry
from bridge.threads import ThreadLimiter, run_in_daemon_thread

Part = TypeVar("Part")

LISTED_SECONDS = 60.0
"""A session is listed again after this: newer shards may have come from another bridge."""

SHARED_SECONDS = 600.0
"""The same where all bridges share one index, as long as the store has nothing beyond it: see `StoreIndex`."""

ABSENT_SECONDS = 10.0
"""The same where the store has nothing of a name that this bridge does not know."""

REST_SECONDS = 5.0
"""A store that has failed is not asked for so long."""

SESSIONS_AT_ONCE, SESSIONS_WAITING = 4, 200
"""Sessions that are read at the same time, and that wait for it."""

TAILS_AT_ONCE = 16
"""Shards that are read from the store together, half of them at the same time."""

PARSED_AT_ONCE = 4
"""Shards whose rows are written in one transaction: more would hold up the event loop while their memory is freed."""


@dataclass(frozen=True, slots=True)
class StoreIndexLimits:
    """How much is kept of what the store has said."""

    images: int = 500_000
    """Rows, of all sessions together, about 250 bytes each."""
    sessions: int = 128


DEFAULT_LIMITS = StoreIndexLimits()


@dataclass(slots=True)
class _Session:
    """What is known of a session's shards."""

    has_own: bool
    """Whether it includes what this bridge has indexed itself."""
    labels: dict[int, str] = field(default_factory=dict)
    images: int = 0
    left_out: int = 0
    """Shards that are not indexed."""
    is_complete: bool = False
    """Whether it has been read to the end once."""
    fresh_until: float = 0.0


@dataclass(slots=True)
class _Reading:
    """A session that is being listed and read: all who ask for it meanwhile wait for the same."""

    task: "asyncio.Task[None]"
    done: int = 0
    of: int = 0

    @property
    def error(self) -> OverloadedError:
        """The answer to those who would wait too long."""
        so_far = f": {self.done:,} of {self.of:,} shards so far" if self.of else ""
        return OverloadedError(
            f"the images of this session are being read from the store{so_far}. Try again in a moment",
            retry_after_ms=5_000,
        )


class StoreIndex:
    """Lists and reads a session on the first question, and again a minute after; runs on the event loop.

    Nothing is asked of the store that nobody wants to see, and nothing here is on the path of a message.
    """

    def __init__(
        self,
        store: ObjectStore,
        cache: IndexCache,
        telemetry: Telemetry,
        *,
        own_keys: Callable[[str], Collection[str]],
        deletions: Callable[[], Sequence[Deletion]],
        is_shared: Callable[[], bool] = lambda: False,
        limits: StoreIndexLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet.

        `own_keys` returns the shards of a session that this bridge has indexed, `deletions` what is about to go, and
        `is_shared` whether whatever bridges store is in the same index, which has all that was there before: then listing
        finds only what that index has lost, as in a restore, or what is stored past it. All three may block.
        """
        self._store = store
        self._cache = cache
        self._telemetry = telemetry
        self._own_keys = own_keys
        self._deletions = deletions
        self._is_shared = is_shared
        self._limits = limits
        self._clock = clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        """By name, the one that was asked for longest ago first."""
        self._names = AskedNames()
        self._readings: dict[str, _Reading] = {}
        self._at_once = asyncio.Semaphore(SESSIONS_AT_ONCE)
        self._tails = ThreadLimiter("reading indexes", TAILS_AT_ONCE // 2)
        self._parsing = ThreadLimiter("indexing images", 1)
        self._problem, self._rests_until = "", 0.0

    async def find(
        self, session_id: str, *, is_known: bool, wait_seconds: float
    ) -> StoredSession | None:
        """Return what the store has of a session whose name is valid; None: nothing.

        `is_known`: this bridge has a row of the session, so that what it has indexed itself is left out. Raises
        StorageError while the store does not answer, OverloadedError when there is more to read than `wait_seconds`
        allow, LimitError for too many names that nobody knows.
        """
        found, problem = self._before(session_id, is_known=is_known), ""
        if not self._is_fresh(session_id, found, is_known=is_known):
            try:
                found = await self._listed(session_id, found, wait_seconds, is_known=is_known)
            except StorageError as error:
                if found is None:
                    raise
                problem = str(error)
        if found is None:
            return None
        if session_id in self._sessions:
            self._sessions.move_to_end(session_id)
        return StoredSession(self._cache.index, dict(found.labels), found.left_out, problem)

    def forget(self, session_id: str) -> None:
        """Drop what was read of a session that is deleted; the next question lists it again. Blocks, in any thread."""
        self._names.forget(session_id)
        known = self._sessions.get(session_id)
        if known is None:
            return
        known.fresh_until, known.is_complete = 0.0, False
        try:
            self._cache.forget(session_id)
        except StorageError as error:  # the next listing leaves out what the store no longer has
            self._telemetry.storage_failed("images of other bridges", error)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """End what is being read, and remove what was, when the block is left."""
        try:
            yield self
        finally:
            tasks = [reading.task for reading in self._readings.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._cache.close)

    def _before(self, session_id: str, *, is_known: bool) -> _Session | None:
        """Return a session as it was last read, if it was read to the end."""
        found = self._sessions.get(session_id)
        if found is None or not found.is_complete or not (found.has_own or is_known):
            return None
        return found

    def _is_fresh(self, session_id: str, found: _Session | None, *, is_known: bool) -> bool:
        now = self._clock()
        if found is not None:
            return now < found.fresh_until
        return self._names.is_absent(session_id, now, is_known=is_known)

    async def _listed(
        self, session_id: str, found: _Session | None, wait_seconds: float, *, is_known: bool
    ) -> _Session | None:
        """Return a session as the store has it now, or as it was last listed where that takes too long."""
        reading = self._readings.get(session_id) or self._begin(session_id, is_known=is_known)
        await asyncio.wait((reading.task,), timeout=wait_seconds)
        if reading.task.done():
            reading.task.result()
            return self._sessions.get(session_id)
        if found is None:
            raise reading.error
        return found

    def _begin(self, session_id: str, *, is_known: bool) -> _Reading:
        if self._clock() < self._rests_until:
            raise StorageError(self._problem)
        if len(self._readings) >= SESSIONS_WAITING:
            raise StorageError(
                f"{SESSIONS_WAITING} sessions wait to be read from the store already"
            )
        if not is_known and session_id not in self._sessions:
            self._names.take(self._clock())
        task = asyncio.create_task(self._read(session_id, is_known=is_known))
        self._readings[session_id] = reading = _Reading(task)
        task.add_done_callback(partial(self._end, session_id))
        return reading

    def _end(self, session_id: str, task: "asyncio.Task[None]") -> None:
        self._readings.pop(session_id, None)
        if not task.cancelled():
            task.exception()  # whoever asked may have gone

    async def _read(self, session_id: str, *, is_known: bool) -> None:
        try:
            async with self._at_once:
                listing, to_read = await run_in_daemon_thread(
                    partial(self._list, session_id, is_known=is_known), name="listing images"
                )
                await self._take(session_id, listing, to_read, is_known=is_known)
        except StorageError as error:
            self._problem, self._rests_until = str(error), self._clock() + REST_SECONDS
            self._telemetry.storage_failed("images of other bridges", error)
            raise

    def _list(self, session_id: str, *, is_known: bool) -> tuple[Listing, Listing]:
        """Return what the store has, and what of it is to be read; forget what is gone."""
        listing = list_shards(self._store, session_id, self._deletions())
        if is_known:
            listing = listing.without(self._own_keys(session_id))
        cached = self._cache.keys(session_id)
        self._cache.forget_shards(session_id, cached - listing.keys)
        return listing, listing.without(cached)

    async def _take(
        self, session_id: str, listing: Listing, to_read: Listing, *, is_known: bool
    ) -> None:
        """Read the shards that are new, and note what is known of the session then."""
        now = self._clock()
        if not listing.shards:
            self._sessions.pop(session_id, None)
            until = now + (await self._known_seconds() if is_known else ABSENT_SECONDS)
            self._names.note_absent(session_id, until, is_known=is_known)
            return
        before = self._sessions.get(session_id)
        known = _Session(not is_known)
        if before is not None:
            known.labels, known.is_complete = before.labels, before.is_complete
        known.images = await asyncio.to_thread(self._cache.images, session_id)
        self._sessions[session_id] = known
        await self._take_all(session_id, known, to_read.shards)
        indexed = await asyncio.to_thread(self._cache.keys, session_id)
        known.left_out = listing.left_out + len(listing.shards) - len(indexed)
        known.is_complete, known.fresh_until = True, now + LISTED_SECONDS

    async def _known_seconds(self) -> float:
        """Return for how long a session counts as listed that is known, and of which the store has nothing more."""
        return SHARED_SECONDS if await asyncio.to_thread(self._is_shared) else LISTED_SECONDS

    async def _take_all(
        self, session_id: str, known: _Session, shards: Sequence[StoredObject]
    ) -> None:
        """Read shards, the newest first; where there are too many images, the oldest are left out."""
        reading = self._readings[session_id]
        reading.of = len(shards)
        newest = max(await asyncio.to_thread(self._cache.keys, session_id), default="")
        newer = [shard for shard in shards if shard.key > newest]
        for some in _several(newer, TAILS_AT_ONCE):
            if not await self._make_room():
                if not newest:
                    return
                await asyncio.to_thread(self._cache.forget_oldest, session_id)
                known.images = await asyncio.to_thread(self._cache.images, session_id)
                shards = newer  # the next older ones are those just forgotten
            await self._take_some(session_id, known, some)
            reading.done += len(some)
        for some in _several(shards[len(newer) :], TAILS_AT_ONCE):
            if not await self._make_room():
                return
            await self._take_some(session_id, known, some)
            reading.done += len(some)

    async def _take_some(
        self, session_id: str, known: _Session, shards: Sequence[StoredObject]
    ) -> None:
        """Read some shards at the same time, and parse them in small parts, which leave most of the processor to others."""
        tails = await asyncio.gather(
            *(self._tails.run(partial(self._fetch, shard)) for shard in shards)
        )
        found = list(zip(shards, tails, strict=True))
        for part in _several(found, PARSED_AT_ONCE):
            parsed = await self._parsing.run(partial(self._index, session_id, part))
            if parsed.unreadable:
                self._telemetry.dropped("shard", "unreadable", parsed.unreadable)
            if parsed.damaged:
                self._telemetry.dropped("index_line", "damaged", parsed.damaged)
            for number, label in parsed.labels.items():
                known.labels.setdefault(number, label)
            known.images += parsed.images

    def _index(
        self, session_id: str, found: Sequence[tuple[StoredObject, Tail | None]]
    ) -> ParsedShards:
        parsed = parsed_shards(session_id, found)
        self._cache.add(parsed.rows)
        return parsed

    def _fetch(self, shard: StoredObject) -> Tail | None:
        """Return the tail of a shard, without images where it was deleted meanwhile; None for what is not a shard."""
        try:
            return fetch_tail(self._store, shard)
        except NotFoundError:
            return Tail(shard.key, b"", 0)

    async def _make_room(self) -> bool:
        """Forget the sessions that were asked for longest ago while there are too many; False: this one has too many images."""
        while self._is_full:
            others = (name for name in self._sessions if name not in self._readings)
            oldest = next(others, None)
            if oldest is None:
                return not self._has_too_many_images
            self._sessions.pop(oldest)
            await asyncio.to_thread(self._cache.forget, oldest)
        return True

    @property
    def _is_full(self) -> bool:
        return len(self._sessions) > self._limits.sessions or self._has_too_many_images

    @property
    def _has_too_many_images(self) -> bool:
        return sum(one.images for one in self._sessions.values()) >= self._limits.images


def _several(sequence: Sequence[Part], most: int) -> Iterator[Sequence[Part]]:
    """Yield what is in a sequence, so many at a time."""
    for start in range(0, len(sequence), most):
        yield sequence[start : start + most]
