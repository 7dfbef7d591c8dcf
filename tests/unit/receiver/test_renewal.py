"""A stream whose token has expired: its client is asked to show the one that it has by then, and nothing is lost."""

import time
from dataclasses import dataclass, replace

import grpc
import grpc.aio
import pytest
from support.receiver import Bridge, batch, hear, registered, say
from support.waiting import until

from bridge.access import ANYONE, Authentication
from bridge.lifecycle import SentElsewhere
from bridge.model import Batch

LATER = 3_600


@dataclass
class Renewed:
    """Lets anybody in, for as long as a test says."""

    renew_at: float
    expires_at: float

    async def identify(self, _credentials):
        return replace(ANYONE, renew_at=self.renew_at, expires_at=self.expires_at)

    def is_current(self, _identity):
        return True


@pytest.fixture
async def bridge(tmp_path, monkeypatch):
    """Return a receiver whose first stream is due to be renewed, once a test says so."""
    monkeypatch.setattr("bridge.receiver.servicer.WATCH_SECONDS", 0.05)
    door = Renewed(time.time() + LATER, time.time() + LATER)
    bridge = Bridge(tmp_path, authentication=Authentication((door,)))
    bridge.door = door
    async with bridge.running() as bridge.stub:
        yield bridge


async def opened(bridge, sequence=1):
    """Open a stream and wait for its first Ack."""
    stream = bridge.stub.StreamMetrics("run")
    await say(stream, batch(sequence, sequence=sequence))
    assert (await hear(stream)).ack.sequence == sequence
    return stream


async def test_a_stream_is_asked_to_come_in_anew(bridge):
    """What it brought is answered, its session is not taken to have gone elsewhere, and the next stream goes on."""
    bridge.door.renew_at = time.time() - 1
    await registered(bridge.stub)
    stream = await opened(bridge)
    answer = await hear(stream)
    assert answer.WhichOneof("payload") == "draining"
    assert answer.draining.reconnect_after_ms > 0
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK
    bridge.door.renew_at = time.time() + LATER
    await until(lambda: not bridge.servicer._streams)
    second = await opened(bridge, sequence=2)
    assert [one.index for one in bridge.sink.of(Batch)] == [1, 2]
    assert not bridge.sink.of(SentElsewhere)
    await second.done_writing()


async def test_a_stream_is_left_alone_until_then(bridge):
    """Nobody with a good token is asked for anything."""
    await registered(bridge.stub)
    stream = await opened(bridge)
    for sequence in range(2, 5):
        await say(stream, batch(sequence, sequence=sequence))
        assert (await hear(stream)).ack.sequence == sequence
    assert len(bridge.servicer._streams) == 1
    await stream.done_writing()


async def test_a_stream_that_stays_is_ended(bridge):
    """Who cannot be let in any longer has to come with something that is good."""
    await registered(bridge.stub)
    stream = await opened(bridge)
    [served] = bridge.servicer._streams
    served.caller = replace(
        served.caller, identity=replace(served.caller.identity, expires_at=time.time() - 1)
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
