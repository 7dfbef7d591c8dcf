"""Commands of a session, on the page of any bridge: those that its bridge has, and those on their way there."""

import asyncio
import time
from dataclasses import replace

import pytest
from support.fake_inbox import FakeInbox
from support.pages import FakeArchive, running
from support.peers import FakePeers

from bridge.commands import CHECKPOINT_KEY, Commands
from bridge.errors import StorageError
from bridge.lifecycle import Connected
from bridge.model import Client, Config
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web import session_commands
from bridge.web.command_notes import EXPIRED_UNSENT, NOT_CONNECTED, UNDERWAY

PAGE = "/sessions/run-1"
LIST = "/api/v1/sessions/run-1/commands"
PAUSE = {"type": "PAUSE_TRAINING", "command_id": "one"}


class SlowInbox(FakeInbox):
    """Its database hangs until a test lets it go on."""

    def __init__(self):
        super().__init__()
        self.answers = asyncio.Event()

    async def commands(self, session_id):
        await self.answers.wait()
        return await super().commands(session_id)


@pytest.fixture
def inbox():
    """Return an empty inbox."""
    return FakeInbox()


@pytest.fixture
def elsewhere():
    """Return a session as its checkpoint has it, with a command of before that."""
    session = Session("run-1", Client("tests", "1"), Config(3), now=time.time())
    session.apply(Connected(), session.registered_at)
    commands = Commands()
    commands.submit("run-1", CommandType.SAVE_CHECKPOINT, {}, "before")
    session.restored_state[CHECKPOINT_KEY] = commands.snapshot(session)
    return session


@pytest.fixture
async def client(open_client, inbox, elsewhere):
    """Return a client of a bridge whose database has a session that is not in its memory."""
    archive = FakeArchive({"run-1": elsewhere})
    return await open_client(archive=archive, inbox=inbox, peers=FakePeers())


async def page_of(client):
    """Return the page of the session."""
    response = await client.get(PAGE)
    assert response.status == 200
    return await response.text()


async def test_a_command_on_its_way_is_on_the_page(client):
    """Any bridge shows it as waiting for the one that has the session, and what that had at its checkpoint."""
    assert (await client.post(f"/api/v1{PAGE}/commands", json=PAUSE)).status == 202

    text = await page_of(client)
    assert "<b>pause training</b>" in text
    assert text.count(UNDERWAY) == 1
    assert "<b>save checkpoint</b>" in text
    listed = (await (await client.get(LIST)).json())["commands"]
    assert [one["note"] for one in listed] == [None, UNDERWAY]


async def test_the_page_of_its_own_bridge_shows_what_it_has_yet_to_take(client):
    """A command that waits is there from its 202 on, and once: not beside itself when it has been taken."""
    await client.post(LIST, json=PAUSE)
    running(client.deps)
    assert UNDERWAY in await page_of(client)

    client.deps.submit_command("run-1", CommandType.PAUSE_TRAINING, {}, "one")
    text = await page_of(client)
    assert UNDERWAY not in text
    assert text.count("<b>pause training</b>") == 1


async def test_a_browser_that_has_sent_one_sees_it(client):
    """The form leads back to a page that says so."""
    response = await client.post(f"{PAGE}/commands", data={"type": "PAUSE_TRAINING"})
    text = await response.text()
    assert "The command is on its way" in text
    assert UNDERWAY in text


async def test_a_command_whose_time_is_over_says_so_wherever_it_is(client, inbox, elsewhere):
    """Nobody has looked at it meanwhile; it will not be carried out."""
    commands = Commands()
    commands.submit("run-1", CommandType.STOP_TRAINING, {}, "old", "", time.time() - 5)
    [old] = elsewhere.restored_state[CHECKPOINT_KEY] = commands.snapshot(elsewhere)
    assert old
    await inbox.submit(
        elsewhere,
        replace(
            commands.prepare("run-1", CommandType.PAUSE_TRAINING, {}),
            expires_at=time.time() - 1,
        ),
    )

    text = await page_of(client)
    assert text.count(EXPIRED_UNSENT) == 2
    assert UNDERWAY not in text


async def test_a_page_does_without_while_the_database_is_away(client, inbox):
    """It shows what is in memory, and says why something may be missing; the API says that it does not know."""
    running(client.deps)
    client.deps.submit_command("run-1", CommandType.PAUSE_TRAINING, {}, "here")
    inbox.error = StorageError("away")

    text = await page_of(client)
    assert "<b>pause training</b>" in text
    assert "The database does not answer at the moment" in text
    assert (await client.get(LIST)).status == 503


async def test_a_page_does_not_wait_for_a_database_that_hangs(open_client, monkeypatch):
    """What is on its way is on the next page, once the database answers."""
    monkeypatch.setattr(session_commands, "PAGE_SECONDS", 0.01)
    inbox = SlowInbox()
    client = await open_client(inbox=inbox, peers=FakePeers())
    session = running(client.deps)
    prepared = client.deps.commands.prepare("run-1", CommandType.PAUSE_TRAINING, {})
    await inbox.submit(session, prepared)

    assert "No commands yet" in await page_of(client)
    monkeypatch.setattr(session_commands, "PAGE_SECONDS", 60.0)
    inbox.answers.set()
    assert UNDERWAY in await page_of(client)


async def test_a_bridge_by_itself_has_all_commands(open_client):
    """Nothing is on its way anywhere."""
    client = await open_client()
    session = running(client.deps)
    client.deps.submit_command("run-1", CommandType.PAUSE_TRAINING, {}, "here")
    session.connected = False
    text = await page_of(client)
    assert NOT_CONNECTED in text
    assert UNDERWAY not in text
