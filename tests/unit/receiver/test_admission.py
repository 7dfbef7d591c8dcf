"""Only who was admitted speaks for a session, over real gRPC."""

import re

import grpc
import grpc.aio
import pytest
from support.receiver import batch, hear, registered, say
from support.waiting import until

from bridge.admission import Admission, Caller
from bridge.errors import ForeignSessionError
from bridge.lifecycle import Disconnected
from bridge.model import Batch, Client, Config
from bridge.protocol import TOKEN_HEADER
from bridge.receiver.caller import LOOPBACK, caller_of
from bridge.session import Session
from bridge.session_snapshot import session_from, snapshot_of
from bridge.stream_proof import hash_of
from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

ERROR = wire.ErrorResponse


@pytest.fixture
async def stranger(bridge):
    """Return a stub with a connection of its own, which shows no token."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(bridge.address, options=options) as channel:
        yield MetricsServiceStub(channel)


async def refusal(stream) -> str:
    """Return why a stream is not taken for the session's."""
    answer = await hear(stream)
    assert answer.error.code == ERROR.INVALID_SESSION
    return answer.error.message


@pytest.mark.parametrize("token", ["", "guessed", "x" * 4_000])
async def test_a_stranger_changes_nothing(bridge, stranger, token):
    """Who knows the name of a session and no more: nothing is applied, and the real stream goes on."""
    await registered(bridge.stub)
    real = bridge.stub.StreamMetrics()
    await say(real, batch(1, sequence=1))
    await hear(real)
    updated_at = bridge.sessions.get("run").updated_at

    metadata = ((TOKEN_HEADER, token),) if token else ()
    foreign = stranger.StreamMetrics(metadata=metadata)
    await say(foreign, *(batch(7, sequence=n) for n in (2, 500, (1 << 63) - 1, (1 << 64) - 1, 0)))
    assert TOKEN_HEADER in await refusal(foreign)
    await until(lambda: bridge.errors("INVALID_SESSION") + bridge.errors("INVALID_DATA") == 5)
    assert bridge.sessions.get("run").updated_at == updated_at

    await say(real, batch(2, sequence=2), batch(3, sequence=3))
    while (await hear(real)).ack.sequence < 3:
        pass
    assert [event.index for event in bridge.sink.of(Batch)] == [1, 2, 3]
    assert not bridge.sink.of(Disconnected)
    for stream in (real, foreign):
        await stream.done_writing()


async def test_a_token_is_of_one_session(bridge):
    """What one session's client was given is worth nothing for another one."""
    await registered(bridge.stub, "run")
    await registered(bridge.stub, "other")
    stream = bridge.stub.StreamMetrics("other")

    await say(stream, batch(1))

    assert TOKEN_HEADER in await refusal(stream)
    assert not bridge.sink.of(Batch)


async def test_a_token_of_an_attempt_before_is_not_taken(bridge):
    """Another process has taken the session over; the first one cannot come back by what it had."""
    await registered(bridge.stub)
    before = bridge.stub.metadata()
    bridge.sessions.get("run").heard_at -= 1_000
    other = wire.SessionInfo(session_id="run", client_instance_id="other")
    assert (await bridge.stub.RegisterTrainingSession(other)).success

    stream = MetricsServiceStub(bridge.channel).StreamMetrics(metadata=before)
    await say(stream, batch(1))

    assert TOKEN_HEADER in await refusal(stream)


async def test_registering_again_leaves_a_stream_that_was_just_opened_good(bridge):
    """Registering is idempotent: the token of the registration before is not withdrawn by it."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    await registered(bridge.stub)

    await say(stream, batch(1, sequence=1))

    assert (await hear(stream)).ack.sequence == 1


async def test_every_registration_has_a_token_of_its_own(bridge):
    """Random, long enough, and for clients that name themselves only."""
    tokens = set()
    for _ in range(3):
        await registered(bridge.stub)
        tokens.add(bridge.tokens["run"])
    unnamed = await bridge.stub.RegisterTrainingSession(wire.SessionInfo(session_id="original"))

    assert len(tokens) == 3
    assert all(len(token) >= 32 for token in tokens)
    assert unnamed.stream_token == ""


async def test_no_token_is_kept_in_clear(bridge, caplog):
    """A snapshot, which goes to the disk, holds hashes; the log holds nothing of it."""
    await registered(bridge.stub)
    token = bridge.tokens["run"]
    stream = bridge.stub.StreamMetrics()
    await say(stream, batch(1))
    await hear(stream)
    session = bridge.sessions.get("run")

    assert token not in str(snapshot_of(session))
    assert token not in caplog.text
    restored = session_from(snapshot_of(session))
    assert restored.proof.accepts_token_hash(hash_of(token))
    assert not restored.proof.accepts_token_hash(hash_of(""))


def test_a_session_of_an_older_version_asks_its_client_to_register():
    """It was written without hashes: its streams are refused until then, and nothing is damaged."""
    session = Session("run", Client(instance_id="i"), Config(), now=0.0)
    state = snapshot_of(session)
    del state["token_hashes"], state["hosts"]

    restored = session_from(state)

    with pytest.raises(ForeignSessionError, match="register"):
        Admission().check(restored, Caller(token_hash=hash_of("")))


async def test_an_original_client_that_was_refused_is_not_heard(bridge, stranger):
    """It does not look at `success`, and streams all the same: nothing is counted, the real stream goes on."""
    await registered(bridge.stub)
    real = bridge.stub.StreamMetrics()
    await say(real, batch(1, sequence=1))
    await hear(real)

    refused = await stranger.RegisterTrainingSession(wire.SessionInfo(session_id="run"))
    assert not refused.success
    stream = stranger.StreamMetrics()
    await say(stream, *(batch(n) for n in range(8)))
    await refusal(stream)
    await until(lambda: bridge.errors("INVALID_SESSION") == 8)
    await say(real, batch(2, sequence=2))
    while (await hear(real)).ack.sequence < 2:
        pass

    assert [event.index for event in bridge.sink.of(Batch)] == [1, 2]


async def test_a_named_client_that_was_refused_is_not_heard(bridge, stranger):
    """Also where the session belongs to an original client, which has nothing to show."""
    assert (await bridge.stub.RegisterTrainingSession(wire.SessionInfo(session_id="run"))).success
    named = wire.SessionInfo(session_id="run", client_instance_id="other")
    assert not (await stranger.RegisterTrainingSession(named)).success

    stream = stranger.StreamMetrics()
    await say(stream, batch(1))
    assert "refused" in await refusal(stream)
    real = bridge.stub.StreamMetrics()
    await say(real, batch(2))
    assert (await hear(real)).ack.success

    original = wire.SessionInfo(session_id="run")
    assert (await stranger.RegisterTrainingSession(original)).success
    again = stranger.StreamMetrics()
    await say(again, batch(3))
    assert (await hear(again)).ack.success
    assert [event.index for event in bridge.sink.of(Batch)] == [2, 3]


class Call:
    """What a call shows of itself."""

    def __init__(self, peer, metadata=()):
        self._peer = peer
        self._metadata = metadata

    def peer(self):
        return self._peer

    def invocation_metadata(self):
        return self._metadata


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.0.0.7:5000", "10.0.0.7"),
        ("ipv4:127.0.0.1:5000", LOOPBACK),
        ("ipv6:[::1]:5000", LOOPBACK),
        ("ipv6:%5B::1%5D:5000", LOOPBACK),
        ("ipv6:%5B::ffff:10.0.0.7%5D:5000", "10.0.0.7"),
        ("ipv6:[fe80::1%25eth0]:5000", "fe80::1"),
        ("unix:", ""),
        ("unix:/run/bridge.sock", ""),
        ("", ""),
        ("ipv4:nonsense", ""),
    ],
)
def test_a_host_is_known_by_its_address(peer, host):
    """Ports change, loopback is one host, and an IPv4 address has two forms."""
    assert caller_of(Call(peer)).host == host


def test_an_original_client_comes_from_where_it_registered():
    """Another host is refused by name of the reason; where nothing is known, nobody is."""
    admission = Admission()
    session = Session("run", Client(), Config(), now=0.0)
    admission.check(session, Caller("ipv4:10.0.0.7:1", "10.0.0.7"))
    session.proof.add_host("10.0.0.7")

    admission.check(session, Caller("ipv4:10.0.0.7:2", "10.0.0.7"))
    admission.check(session, Caller())
    with pytest.raises(ForeignSessionError, match=re.escape("another host")):
        admission.check(session, Caller("ipv4:10.0.0.8:1", "10.0.0.8"))
    restored = session_from(snapshot_of(session))
    with pytest.raises(ForeignSessionError):
        admission.check(restored, Caller("ipv4:10.0.0.8:1", "10.0.0.8"))
