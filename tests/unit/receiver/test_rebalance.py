"""A session that began on another bridge is asked to connect again; one that began here stays."""

import grpc.aio
import pytest
from support.receiver import Bridge, batch, hear, registered, say
from support.waiting import until


@pytest.fixture
async def bridge(tmp_path):
    """Return a receiver that sends guests on at once."""
    bridge = Bridge(tmp_path, rebalance_seconds=0.1)
    async with bridge.running() as bridge.stub:
        yield bridge


def sent_on(bridge):
    """Return how many streams were asked to connect again."""
    return bridge.telemetry.registry.get_sample_value("bridge_streams_rebalanced_total")


async def opened(bridge, *, first, session_id="run"):
    """Open a stream that begins with a sequence, and wait for its Ack."""
    await registered(bridge.stub, session_id)
    stream = bridge.stub.StreamMetrics(session_id)
    await say(stream, batch(0, session_id=session_id, sequence=first))
    assert (await hear(stream)).ack.sequence == first
    return stream


async def test_a_session_from_another_bridge_is_sent_on(bridge):
    """Its client is asked to connect again, all that it sent is answered, and the stream ends by itself."""
    stream = await opened(bridge, first=501)

    answer = await hear(stream)

    assert answer.WhichOneof("payload") == "draining"
    assert answer.draining.reconnect_after_ms > 0
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK
    assert sent_on(bridge) == 1


async def test_a_session_that_began_here_stays(bridge):
    """Its history is here: it goes on while a guest beside it, which came later, is sent on."""
    stream = await opened(bridge, first=1, session_id="home")
    await opened(bridge, first=501, session_id="guest")

    await until(lambda: sent_on(bridge) == 1)
    await say(stream, batch(1, session_id="home", sequence=2))

    assert (await hear(stream)).ack.sequence == 2
    await stream.done_writing()


async def test_a_session_that_comes_home_stays(bridge):
    """What it sent elsewhere in between is missing here, but its beginning is not."""
    first = await opened(bridge, first=1, session_id="home")
    await first.done_writing()
    assert await first.read() is grpc.aio.EOF
    second = await opened(bridge, first=900, session_id="home")
    await opened(bridge, first=501, session_id="guest")

    await until(lambda: sent_on(bridge) == 1)
    await say(second, batch(1, session_id="home", sequence=901))

    assert (await hear(second)).ack.sequence == 901
    await second.done_writing()


async def test_nobody_is_sent_on_by_default(tmp_path):
    """With one bridge there is nowhere to go."""
    bridge = Bridge(tmp_path)
    async with bridge.running() as bridge.stub:
        stream = await opened(bridge, first=501)
        await say(stream, batch(1, sequence=502))

        assert (await hear(stream)).ack.sequence == 502
        assert sent_on(bridge) == 0
        await stream.done_writing()
