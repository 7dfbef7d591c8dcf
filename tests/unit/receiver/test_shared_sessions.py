"""A client's session is brought to the bridge that it comes to, and leaves when it comes to another one."""

import asyncio
import time
from dataclasses import replace

import grpc.aio
import pytest
from support.receiver import Bridge, batch, hear, registered, say
from support.waiting import until

from bridge.access import ANYONE
from bridge.admission import UNKNOWN_CALLER
from bridge.errors import StorageError
from bridge.lifecycle import Moved
from bridge.model import Client, Config, Heartbeat, Update
from bridge.receiver.shared_sessions import SessionsElsewhere, lose_stream
from bridge.receiver.stream import Stream
from bridge.session import Session
from bridge.wire import metrics_pb2 as wire


class Elsewhere:
    """The sessions of other bridges, as the database has them."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.acquired: list[str] = []
        self.is_away = self.is_crowded = False
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self.bridge: Bridge

    def add(self, session_id, *, instance="i", connected=True) -> str:
        """Put a session there, heard of just now; return the token of its client."""
        session = Session(session_id, Client("c", "1", instance), Config(), now=time.time())
        session.connected = connected
        token = session.proof.issue_token() if instance else ""
        self.sessions[session_id] = session
        return token

    def checkpointed(self, session_id):
        """Return it as it was last written, from a thread."""
        if self.is_away:
            raise StorageError("away")
        return self.sessions.get(session_id)

    async def acquire(self, session_id):
        if self.is_away:
            raise StorageError("away")
        self.acquired.append(session_id)
        session = self.sessions.pop(session_id, None)
        if session is not None:
            self.bridge.pipeline.restore(session, is_expected=True)
        return session

    async def find(self, session_id):
        return self.sessions.get(session_id)

    async def committed(self):
        await self.may_commit.wait()


@pytest.fixture
async def bridge(tmp_path):
    """Return a running receiver; its stub is `bridge.stub`, and what other bridges have is `bridge.elsewhere`."""
    elsewhere = Elsewhere()
    bridge = Bridge(tmp_path, shared=elsewhere, load_archived=elsewhere.checkpointed)
    bridge.elsewhere, elsewhere.bridge = elsewhere, bridge
    async with bridge.running() as bridge.stub:
        yield bridge


async def test_a_stream_brings_its_session_along(bridge):
    """It shows the token of a registration on another bridge, and goes on here."""
    bridge.tokens["run"] = bridge.elsewhere.add("run")
    stream = bridge.stub.StreamMetrics("run")

    await say(stream, batch(0, sequence=1))

    assert (await hear(stream)).ack.sequence == 1
    assert bridge.elsewhere.acquired == ["run"]


async def test_a_client_of_the_original_protocol_registers_there_and_streams_here(bridge):
    """It has neither a name for itself nor a token."""
    bridge.elsewhere.add("run", instance="")
    stream = bridge.stub.StreamMetrics("run")

    await say(stream, batch(7))

    answer = await hear(stream)
    assert (answer.ack.batch_idx, answer.ack.success) == (7, True)


async def test_who_does_not_show_the_token_takes_no_session(bridge):
    """Otherwise anybody could throw a session from bridge to bridge."""
    bridge.elsewhere.add("run")
    bridge.tokens["run"] = "another"
    stream = bridge.stub.StreamMetrics("run")

    await say(stream, batch(0, sequence=1))

    assert (await hear(stream)).error.code == wire.ErrorResponse.INVALID_SESSION
    assert bridge.elsewhere.acquired == []


async def test_what_was_refused_before_a_session_came_is_not_skipped(bridge):
    """The messages behind it are on their way already, and an Ack of them would cover it."""
    bridge.tokens["run"] = bridge.elsewhere.add("run")
    session = bridge.elsewhere.sessions.pop("run")
    stream = bridge.stub.StreamMetrics("run")
    await say(stream, batch(0, sequence=1))
    assert (await hear(stream)).error.code == wire.ErrorResponse.INVALID_SESSION

    bridge.pipeline.restore(session, is_expected=True)
    await say(stream, batch(1, sequence=2))

    error = (await hear(stream)).error
    assert (error.code, error.sequence) == (wire.ErrorResponse.BUFFER_FULL, 1)
    await say(stream, batch(0, sequence=1), batch(1, sequence=2))
    assert (await hear(stream)).ack.sequence in (1, 2), "an Ack may cover both"


async def test_a_stream_of_a_session_that_nobody_has_is_answered(bridge):
    """It stays open, as on a bridge alone."""
    stream = bridge.stub.StreamMetrics("nobody")

    await say(stream, batch(0, session_id="nobody"))

    assert (await hear(stream)).error.code == wire.ErrorResponse.INVALID_SESSION
    bridge.elsewhere.add("nobody", instance="")
    await registered(bridge.stub, "other")
    assert bridge.elsewhere.acquired == ["other"]


async def test_a_registration_brings_the_session_of_its_client(bridge):
    """A client that connects again is at home on whichever bridge it finds."""
    bridge.elsewhere.add("run")

    await registered(bridge.stub, "run")

    assert bridge.elsewhere.acquired == ["run"]
    assert bridge.sessions.find("run").attempt == 1


async def test_a_session_of_another_client_stays_where_it_is(bridge):
    """It is alive there: the second trainer is refused, and the first is not even interrupted."""
    bridge.elsewhere.add("run", instance="the first")

    answer = await bridge.stub.RegisterTrainingSession(
        wire.SessionInfo(session_id="run", client_instance_id="the second")
    )

    assert not answer.success
    assert answer.retry_after_ms > 0
    assert bridge.elsewhere.acquired == []


async def test_a_session_whose_client_has_been_silent_is_another_ones_next_attempt(bridge):
    """What it was is followed, though another bridge had it."""
    bridge.elsewhere.add("run", instance="the first", connected=False)
    bridge.elsewhere.sessions["run"].updated_at -= 600

    answer = await bridge.stub.RegisterTrainingSession(
        wire.SessionInfo(session_id="run", client_instance_id="the second")
    )

    assert (answer.success, answer.attempt) == (True, 2)


async def test_a_registration_is_answered_when_other_bridges_can_know_of_it(bridge):
    """Its stream may reach another one within a millisecond."""
    bridge.elsewhere.may_commit.clear()
    asked = asyncio.create_task(registered(bridge.stub, "run"))
    await until(lambda: bridge.sessions.find("run") is not None)
    assert not asked.done()

    bridge.elsewhere.may_commit.set()

    assert await asked == "run"


async def test_a_registration_whose_session_was_taken_meanwhile_is_to_be_tried_again(bridge):
    """Nothing of it is written, and what it would say of the session is old."""
    bridge.elsewhere.may_commit.clear()
    asked = asyncio.create_task(registered(bridge.stub, "run"))
    await until(lambda: bridge.sessions.find("run") is not None)
    bridge.pipeline.drop(bridge.sessions.find("run"), Moved())

    bridge.elsewhere.may_commit.set()

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asked
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_session_without_a_name_gets_one_before_it_is_claimed(bridge):
    """Two bridges cannot make up the same one and not notice."""
    session_id = await registered(bridge.stub, "")

    assert bridge.elsewhere.acquired == [session_id]


async def test_a_stream_ends_where_the_database_is_away(bridge):
    """Its client is to try again, here or elsewhere; a registration is refused in the same words."""
    bridge.tokens["run"] = bridge.elsewhere.add("run")
    bridge.elsewhere.is_away = True
    stream = bridge.stub.StreamMetrics("run")

    await say(stream, batch(0, sequence=1))

    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stream.read()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await registered(bridge.stub, "run")
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "away" not in raised.value.details()


async def test_a_stream_whose_session_was_taken_is_asked_to_connect_again(bridge):
    """It gets no Ack for what was not committed here, and ends by itself."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    await say(stream, batch(0, sequence=1))
    assert (await hear(stream)).ack.sequence == 1
    async with bridge.committer._turn:  # nothing is committed meanwhile
        await say(stream, batch(1, sequence=2))
        await until(lambda: bridge.sessions.find("run").accepted == 2)
        bridge.pipeline.drop(bridge.sessions.find("run"), Moved())
        lose_stream(bridge.deps, "run")

    assert (await hear(stream)).WhichOneof("payload") == "draining"
    assert await stream.read() is grpc.aio.EOF


async def test_an_identity_takes_only_sessions_of_its_own(bridge):
    """A tenant learns nothing of a session of another one, and cannot move it either."""
    bridge.elsewhere.add("theirs", instance="")
    caller = replace(UNKNOWN_CALLER, identity=replace(ANYONE, sessions="mine-"))
    stream = Stream(bridge.deps, caller)

    await SessionsElsewhere(bridge.deps).before_stream(
        stream, [Update("theirs", Heartbeat(), 0, 1)]
    )

    assert bridge.elsewhere.acquired == []


async def test_a_crowded_bridge_sends_streams_on_until_it_is_not(tmp_path):
    """After a rolling upgrade the last bridge is empty, and the clients of the others find it."""
    elsewhere = Elsewhere()
    bridge = Bridge(tmp_path, shared=elsewhere, rebalance_seconds=0.05)
    elsewhere.bridge = bridge
    async with bridge.running() as bridge.stub:
        await registered(bridge.stub)
        stream = bridge.stub.StreamMetrics()
        await say(stream, batch(0, sequence=1))
        assert (await hear(stream)).ack.sequence == 1
        await asyncio.sleep(0.3)
        await say(stream, batch(1, sequence=2))
        assert (await hear(stream)).ack.sequence == 2

        elsewhere.is_crowded = True

        assert (await hear(stream)).WhichOneof("payload") == "draining"


async def test_a_crowded_bridge_sends_on_what_has_said_nothing_at_first(tmp_path):
    """It is not known for some time whose stream it is; then it is as any other."""
    elsewhere = Elsewhere()
    elsewhere.is_crowded = True
    bridge = Bridge(tmp_path, shared=elsewhere, rebalance_seconds=0.01)
    elsewhere.bridge = bridge
    async with bridge.running() as bridge.stub:
        await registered(bridge.stub)
        stream = bridge.stub.StreamMetrics()
        await asyncio.sleep(0.1)
        await say(stream, batch(0, sequence=1))

        heard = [(await hear(stream)).WhichOneof("payload")]
        if heard == ["ack"]:
            heard.append((await hear(stream)).WhichOneof("payload"))

    assert heard[-1] == "draining"
