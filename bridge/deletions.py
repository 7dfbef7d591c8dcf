"""Deletes sessions: at once for everybody who looks, and in bounded steps from the database and the object store."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from bridge.backoff import backoff_seconds
from bridge.committer import Committer
from bridge.errors import SessionRunningError, StorageError
from bridge.model import Stage
from bridge.pipeline import Pipeline
from bridge.session import Session
from bridge.sessions import Sessions
from bridge.sinks.deletions import DeletionRequests
from bridge.storage.database import Database
from bridge.storage.deletions import (
    ALL_ATTEMPTS,
    Deletion,
    ImageScope,
    complete_deletion,
    covered_shards,
    delete_some_rows,
    pending_deletions,
)
from bridge.storage.objects import ObjectStore
from bridge.storage.shards import Shard, forget_shards, is_rebuilt
from bridge.telemetry import Telemetry
from bridge.threads import run_in_daemon_thread

STEP_PAUSE_SECONDS = 0.02
"""Between two steps, so that commits never queue up behind a deletion."""

LONGEST_PAUSE_SECONDS = 60.0

LOOK_SECONDS = 60.0
"""How often it is looked for deletions that another bridge has left unfinished, where bridges share the database."""

RUNNING = "this session is still running: stop its training first, or wait for its end"
NOT_OVER = (
    "this session has not ended: its process may come back. Once --session-lost-seconds are over it counts as lost"
    " and can be deleted; force deletes it now"
)
TAKEN = "this session goes on: it has just been registered again, at another bridge"


class SessionDeleter:
    """Takes requests to delete sessions."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        pipeline: Pipeline,
        committer: Committer,
        requests: DeletionRequests,
        forget: Callable[[str, int], None],
        telemetry: Telemetry,
        bring: Callable[[str], Awaitable[Session | None]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`forget` keeps the journal from writing down a session that has left memory.

        `bring` makes this bridge the owner of a session, where others may have it, and returns it if it is not over;
        None: there are no others.
        """
        self._sessions = sessions
        self._bring = bring
        self._pipeline = pipeline
        self._committer = committer
        self._requests = requests
        self._forget = forget
        self._telemetry = telemetry
        self._clock = clock

    async def delete(
        self,
        session_id: str,
        *,
        attempt: int | None = None,
        images: bool = False,
        force: bool = False,
        by: str = "",
    ) -> None:
        """Delete a session, or one attempt of it.

        When this returns it is gone for good, though its rows and images may go later.

        Raises SessionRunningError for one that is connected, and without `force` for one that has not
        ended; StorageError while the disk refuses it: then it happens as soon as the disk takes it. Raises
        what `bring` raises.
        """
        session = await self._find(session_id)
        if session is not None and attempt in (None, session.attempt):
            _check_is_over(session, force=force)
            self._pipeline.drop(session)
        which = attempt or ALL_ATTEMPTS
        self._forget(session_id, which)
        scope = ImageScope.ALL if images else ImageScope.NONE
        requested = self._requests.add(
            Deletion(session_id, scope, round(self._clock() * 1000), which)
        )
        self._telemetry.deletion_requested(session_id, images=images, by=by, attempt=attempt)
        if not await self._committer.commit():
            raise StorageError("the deletion waits for the disk")
        if requested.is_left_out:
            raise SessionRunningError(TAKEN)

    async def _find(self, session_id: str) -> Session | None:
        """Return a session that is not over: a bridge that is away may still have it, and has to lose it first."""
        session = self._sessions.find(session_id)
        return session if session or self._bring is None else await self._bring(session_id)


def _check_is_over(session: Session, *, force: bool) -> None:
    if session.connected:
        raise SessionRunningError(RUNNING)
    if session.stage is Stage.LIVE and not force:
        raise SessionRunningError(NOT_OVER)


@asynccontextmanager
async def deletions(
    requests: DeletionRequests,
    database: Database,
    store: ObjectStore,
    telemetry: Telemetry,
    *,
    forget: Callable[[str], None] = lambda _: None,
    look_seconds: float = LOOK_SECONDS,
) -> AsyncIterator[None]:
    """Carry out what has been requested, and what a start finds unfinished, until the block is left.

    Where bridges share the database, what another one has left unfinished is found within `look_seconds`. `forget`
    drops what else is known of a session whose deletion begins, and when it is complete; it may block.
    """
    stopping = threading.Event()
    carry_out = partial(carry_out_all, database, store, telemetry, stopping, forget=forget)
    idle_seconds = look_seconds if database.bridge_id else None
    task = asyncio.create_task(
        _run(requests, telemetry, carry_out, idle_seconds=idle_seconds), name="deletions"
    )
    try:
        yield
    finally:
        stopping.set()
        task.cancel()
        await asyncio.wait([task])


async def _run(
    requests: DeletionRequests,
    telemetry: Telemetry,
    carry_out: Callable[[], int],
    *,
    idle_seconds: float | None,
) -> None:
    rounds = 0
    while True:
        requests.recorded.clear()
        left = await run_in_daemon_thread(carry_out, name="deletions")
        telemetry.deletions_pending(left)
        rounds = rounds + 1 if left else 0
        pause = 1.0 + backoff_seconds(rounds, longest_seconds=LONGEST_PAUSE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause if left else idle_seconds):
                await requests.recorded.wait()


def carry_out_all(
    database: Database,
    store: ObjectStore,
    telemetry: Telemetry,
    stopping: threading.Event,
    *,
    forget: Callable[[str], None] = lambda _: None,
) -> int:
    """Carry out every deletion as far as it goes now, and return how many are not complete; blocks."""
    try:
        pending = pending_deletions(database)
    except Exception as error:  # noqa: BLE001 -- whatever the database says, it is asked again
        telemetry.deletion_failed("", error)
        return 1
    left = 0
    unfinished: set[str] = set()
    for deletion in pending:
        forget(deletion.session_id)
        try:
            # A later one of the same name would forget which shards the earlier one is to delete.
            is_complete = deletion.session_id not in unfinished and _carry_out(
                deletion, database, store, telemetry, stopping
            )
        except Exception as error:  # noqa: BLE001 -- one that fails must not keep the others
            if not stopping.is_set():
                telemetry.deletion_failed(deletion.session_id, error)
            is_complete = False
        forget(deletion.session_id)
        if not is_complete:
            unfinished.add(deletion.session_id)
            left += 1
    return left


def _carry_out(
    deletion: Deletion,
    database: Database,
    store: ObjectStore,
    telemetry: Telemetry,
    stopping: threading.Event,
) -> bool:
    """Delete what is left of a session; every step may be the last one, or come twice."""
    shards = covered_shards(database, deletion)
    # Uploads, and the index of the store that a new database reads, must not write what is deleted here.
    if any(shard.is_waiting for shard in shards) or not is_rebuilt(database, "store"):
        return False
    while _delete_step(database, deletion):
        if stopping.wait(STEP_PAUSE_SECONDS):
            return False
    for key in _keys(deletion, shards, store):
        if stopping.is_set():
            return False
        store.delete(key)
        telemetry.shard_deleted()
    with database.transaction() as transaction:
        forget_shards(transaction, shards)
        complete_deletion(transaction, deletion)
    telemetry.session_deleted(deletion.session_id, deletion.attempt or None)
    return True


def _keys(deletion: Deletion, shards: Sequence[Shard], store: ObjectStore) -> list[str]:
    """Return the keys of the shards to delete; some of them may be gone already."""
    if deletion.images is ImageScope.NONE:
        return []
    if deletion.images is ImageScope.OWN:
        return [shard.key for shard in shards]
    listed = (found.key for found in store.list(f"{deletion.session_id}/"))
    own = (shard.key for shard in shards)  # among them those whose key names no attempt
    return list(dict.fromkeys((*own, *filter(deletion.covers, listed))))


def _delete_step(database: Database, deletion: Deletion) -> int:
    with database.transaction() as transaction:
        return delete_some_rows(transaction, deletion)
