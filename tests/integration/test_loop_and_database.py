"""The event loop never waits for a shared database, which may take seconds to answer, or hang."""

import asyncio
import traceback
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from support.jpegs import jpeg
from support.shared_database import opened
from support.waiting import until

from bridge.client import BridgeClient, TrainingSession
from bridge.config import load
from bridge.service import run
from bridge.storage.peer_rows import GET_SECRET as SECRET
from bridge.storage.postgres import PostgresDatabase

ASKING = ("query", "transaction", "group", "settle")
"""What waits for the database."""


@pytest.fixture
def blocked(monkeypatch):
    """Return the calls of the database that are made on the event loop, and a set for the bridges whose calls count."""
    found, ready = [], set()

    def watched(name):
        asked = getattr(PostgresDatabase, name)

        def ask(database, *arguments, **options):
            if database.bridge_id in ready and _is_on_loop():
                found.append("".join(traceback.format_stack(limit=9)[:-1]))
            return asked(database, *arguments, **options)

        return ask

    for name in ASKING:
        monkeypatch.setattr(PostgresDatabase, name, watched(name))
    return found, ready


def _is_on_loop():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@asynccontextmanager
async def bridge(url, folder, ready):
    """Run a bridge in this loop until the block is left; yields its addresses."""
    flags = {
        "state": url,
        "spool_folder": str(folder),
        "images_store": f"file://{folder.parent / 'store'}",
        "grpc_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
        "images_keep": "all",
    }
    stopping, addresses = asyncio.Event(), asyncio.get_running_loop().create_future()
    settings = load(flags, {}).settings
    running = asyncio.create_task(run(settings, stopping, addresses.set_result))
    try:
        await asyncio.wait((running, addresses), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        ready.add((folder / "instance-id").read_text().strip())
        yield addresses.result()
    finally:
        ready.clear()  # at a stop nobody waits any more
        stopping.set()
        await asyncio.wait((running,))
        running.result()


def train(address, name, batches, *, ends=True):
    """Send batches with images; return the session, which goes on unless it `ends`."""
    session = TrainingSession(address, session_id=name, model="m", class_names=["cat", "dog"])
    for number in range(batches):
        session.log_batch(0.5, epoch=1, batch=number, images=[jpeg(16, 16, 40)], predictions=[1])
    session.flush()
    if ends:
        session.close()
    return session


PATHS = (
    *("/", "/sessions/run", "/sessions/run/batches/1-1", "/sessions/run/batches/1-1/0.jpg"),
    *("/sessions/run/sheet.jpg", "/sessions/run/latest/0.jpg", "/go/images?session=run&at=1"),
    *("/api/v1/sessions", "/api/v1/sessions/run", "/api/v1/sessions/run/images", "/bridges"),
    *("/api/v1/sessions/run/commands", "/api/v1/annotations?session=run", "/compare?sessions=run"),
    *("/metrics", "/readyz?verbose", "/runs/run", "/sessions/run/attempts/1"),
)


async def test_no_question_is_asked_on_the_event_loop(postgres_url, tmp_path, blocked):
    """While clients register, send, come back at another bridge and end; on pages, for commands, and for a deletion."""
    found, ready = blocked
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(bridge(postgres_url, tmp_path / "one", ready))
        two = await stack.enter_async_context(bridge(postgres_url, tmp_path / "two", ready))
        live = await asyncio.to_thread(train, one.grpc, "run", 20, ends=False)
        for addresses in (one, two):
            reader = BridgeClient(f"http://{addresses.http}", timeout_seconds=60)
            for path in PATHS:
                await asyncio.to_thread(_get, addresses.http, path)
            await asyncio.to_thread(reader.submit_command, "run", "PAUSE_TRAINING")
        await asyncio.to_thread(live.close)
        await asyncio.to_thread(train, two.grpc, "run", 5)
        await until(lambda: _has_ended(two.http, "run"), what="the session ends")
        await asyncio.to_thread(reader.delete_session, "run", images=True)
        await asyncio.sleep(2)
    assert not found, f"{len(found)} times:\n" + "\n".join(sorted(set(found)))


async def test_a_question_on_the_event_loop_would_be_found(postgres_url, blocked):
    """One that a thread asks is not."""
    found, ready = blocked
    with opened(postgres_url, "one") as database:
        ready.add("one")
        await asyncio.to_thread(database.query, SECRET, {"name": ""})
        assert not found
        database.query(SECRET, {"name": ""})
    assert len(found) == 1


def _get(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise
        return error.read()


async def _has_ended(address, name):
    return b'"ended_at":null' not in await asyncio.to_thread(
        _get, address, f"/api/v1/sessions/{name}"
    )
