"""What clients may take of the gRPC server: streams, turns, and the time of others."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager

import grpc
import pytest
from support.receiver import Bridge, batch, hear, registered, say
from support.waiting import until

from bridge.errors import LimitError
from bridge.receiver import servicer
from bridge.receiver.first_messages import FirstMessages
from bridge.receiver.server import GrpcConnectionLimits, bind_server, serve_grpc
from bridge.wire import metrics_pb2 as wire

SERVICE = "/metrics.MetricsService"
SHORT = 0.2


@pytest.fixture(autouse=True)
def quick_watch(monkeypatch):
    """Look for unused streams often."""
    monkeypatch.setattr(servicer, "WATCH_SECONDS", 0.02)


def refused(bridge, reason):
    """Return how often a call was refused for a reason."""
    registry = bridge.telemetry.registry
    return registry.get_sample_value("bridge_streams_refused_total", {"reason": reason})


async def ending(call):
    """Return how a call ended: its status and its text."""
    async with asyncio.timeout(60):
        return await call.code(), await call.details()


@asynccontextmanager
async def stranger(bridge):
    """Open a stream of a connection that has registered nothing; it shows no token, and says nothing."""
    own = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(bridge.address, options=own) as channel:
        yield channel.stream_stream(
            f"{SERVICE}/StreamMetrics",
            request_serializer=wire.MetricsRequest.SerializeToString,
            response_deserializer=wire.MetricsResponse.FromString,
        )()


@pytest.mark.parametrize(
    ("config", "reason", "flag"),
    [
        ({"max_streams_per_address": 1}, "streams_per_address", "--max-streams-per-address"),
        ({"max_streams": 1}, "streams", "--max-streams)"),
    ],
)
async def test_streams_have_a_limit(tmp_path, config, reason, flag):
    """In all and of one address; the text names the setting, and a stream that ends makes room."""
    bridge = Bridge(tmp_path, **config)
    async with bridge.running() as stub:
        await registered(stub)
        first = stub.StreamMetrics()
        await say(first, batch())
        await hear(first)

        code, text = await ending(stub.StreamMetrics())

        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert flag in text
        assert refused(bridge, reason) == 1
        await first.done_writing()
        await ending(first)
        third = stub.StreamMetrics()
        await say(third, batch())
        await hear(third)


async def test_who_has_not_registered_waits_for_a_turn(tmp_path):
    """One that holds its turn without using it is cut once others wait, and they are served."""
    bridge = Bridge(tmp_path, max_first_messages=1)
    async with bridge.running() as stub:
        registration = wire.SessionInfo(session_id="unnamed")
        assert (await stub.RegisterTrainingSession(registration)).success
        turns = bridge.servicer._first_messages
        async with stranger(bridge) as idle:
            await until(lambda: turns._taken.total() == 1)
            async with stranger(bridge) as second:
                await say(second, batch(session_id="unnamed"))
                await until(lambda: turns.is_needed("loopback"))
                next(iter(bridge.servicer._streams)).turn._since -= 60

                assert (await hear(second)).ack.success
                code, text = await ending(idle)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "--first-message-seconds" in text
        assert refused(bridge, "no_message") == 1


async def test_nobody_is_cut_while_nobody_waits(tmp_path):
    """A client that opens its stream long before it trains is left alone."""
    bridge = Bridge(tmp_path, max_first_messages=4, first_message_seconds=0.05)
    async with bridge.running() as stub:
        await stub.RegisterTrainingSession(wire.SessionInfo(session_id="unnamed"))
        early = stub.StreamMetrics("unnamed")
        await asyncio.sleep(0.3)
        await say(early, batch(session_id="unnamed"))

        assert (await hear(early)).ack.success


async def test_who_shows_that_it_registered_needs_no_turn(tmp_path):
    """Strangers hold all turns, and a registered client streams at once."""
    bridge = Bridge(tmp_path, max_first_messages=1)
    async with bridge.running() as stub:
        await registered(stub)
        async with stranger(bridge):
            await until(lambda: bridge.servicer._first_messages._taken.total() == 1)
            stream = stub.StreamMetrics()
            await say(stream, batch(sequence=1))

            assert (await hear(stream)).ack.sequence == 1


async def test_an_original_client_shows_by_its_connection_that_it_registered(tmp_path):
    """It opens its stream, loads its data for long, and holds up nobody: it has no turn to be cut for."""
    bridge = Bridge(tmp_path, max_first_messages=1, first_message_seconds=0.05)
    async with bridge.running() as stub:
        await stub.RegisterTrainingSession(wire.SessionInfo(session_id="unnamed"))
        early = stub.StreamMetrics("unnamed")
        async with stranger(bridge), stranger(bridge):
            await until(lambda: bridge.servicer._first_messages.is_needed("loopback"))
            await until(lambda: refused(bridge, "no_message"))
            await say(early, batch(session_id="unnamed"))

            assert (await hear(early)).ack.success


async def test_a_registration_that_does_not_arrive_is_refused(tmp_path):
    """Its turn ends, and the next registration has it."""
    bridge = Bridge(tmp_path, max_first_messages=1, first_message_seconds=SHORT)
    async with bridge.running() as stub:
        half = bridge.channel.stream_unary(f"{SERVICE}/RegisterTrainingSession")()

        code, text = await ending(half)

        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "--first-message-seconds" in text
        assert refused(bridge, "no_message") == 1
        await registered(stub)


async def test_a_registration_without_a_message_is_refused(tmp_path):
    """A call that ends before it has said anything."""
    bridge = Bridge(tmp_path)
    async with bridge.running():
        empty = bridge.channel.stream_unary(f"{SERVICE}/RegisterTrainingSession")()
        await empty.done_writing()

        code, _ = await ending(empty)

        assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_who_does_not_read_its_responses_is_cut(tmp_path):
    """They fill what the connection holds; then the stream ends, and what waits for it is freed."""
    bridge = Bridge(tmp_path, unread_seconds=SHORT)
    nothing = wire.MetricsRequestBatch(requests=[wire.MetricsRequest()] * 4_000)
    async with bridge.running() as stub:
        await registered(stub)
        narrow = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
        async with grpc.aio.insecure_channel(bridge.address, narrow) as channel:
            stream = channel.stream_stream(
                f"{SERVICE}/StreamMetricsBatches",
                request_serializer=wire.MetricsRequestBatch.SerializeToString,
            )(metadata=stub.metadata())
            for _ in range(3):
                await stream.write(nothing)

            await until(lambda: refused(bridge, "unread") == 1)
            await until(lambda: not bridge.servicer._streams)


async def test_the_stream_of_an_expired_session_ends(tmp_path):
    """Its client registers again, rather than to hold a place."""
    bridge = Bridge(tmp_path)
    async with bridge.running() as stub:
        await registered(stub)
        stream = stub.StreamMetrics()
        await say(stream, batch(sequence=1))
        await hear(stream)
        bridge.sessions.expire(bridge.sessions.get("run"))

        code, text = await ending(stream)

        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "register it again" in text


async def test_limits_of_registration_are_counted(tmp_path):
    """Under the status that the client got."""
    bridge = Bridge(tmp_path)
    async with bridge.running() as stub:
        for number in range(bridge.sessions.limit):
            await registered(stub, f"run-{number}")
        with pytest.raises(grpc.RpcError, match="--max-sessions"):
            await registered(stub, "one-more")

    assert bridge.errors("RESOURCE_EXHAUSTED") == 1


async def test_nobody_is_cut_for_one_who_waits_because_of_its_own_address():
    """A host that has all of its turns does not wait for those of others, until there are none at all."""
    turns = FirstMessages(4, 15)
    early, _, _ = await turns.take("trainer"), await turns.take("crowd"), await turns.take("b")
    crowd = asyncio.create_task(turns.take("crowd"))
    await until(lambda: turns._waiting)

    assert not early.is_overdue(time.monotonic() + 3600, 60)
    assert turns.is_needed("crowd")
    await turns.take("c")
    late = asyncio.create_task(turns.take("d"))
    await until(lambda: len(turns._waiting) == 2)
    assert early.is_overdue(time.monotonic() + 3600, 60)
    for task in (crowd, late):
        task.cancel()


async def test_a_turn_that_is_given_up_goes_to_the_next():
    """In the order in which they came; whoever stops waiting is passed over."""
    turns = FirstMessages(1, 15)
    first = await turns.take("a")
    second, third = (asyncio.create_task(turns.take("a")) for _ in range(2))
    await until(lambda: len(turns._waiting) == 2)
    second.cancel()
    first.end()
    first.end()

    (await third).end()

    assert not turns._waiting
    assert turns._taken.total() == 0


async def test_one_address_does_not_have_all_turns():
    """A quarter is all it gets."""
    turns = FirstMessages(4, 0.05)
    await turns.take("a")

    with pytest.raises(LimitError, match="--max-first-messages"):
        await turns.take("a")
    for host in "bcd":
        await turns.take(host)


@pytest.mark.parametrize(
    "sent",
    [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"],
    ids=["no handshake", "no call"],
)
async def test_connections_without_a_call_are_closed(tmp_path, sent):
    """One that does not even begin, and one that has nothing to ask."""
    limits = GrpcConnectionLimits(handshake_seconds=SHORT, idle_seconds=SHORT)
    await _closes(tmp_path, limits, sent, at_once=1)


async def test_connections_have_a_limit(tmp_path):
    """One more is closed at once."""
    await _closes(tmp_path, GrpcConnectionLimits(connections=2), b"", at_once=3)


async def _closes(tmp_path, limits, sent, *, at_once):
    """Check that the last of some connections is closed by the server."""
    bridge = Bridge(tmp_path)
    sizes = {"max_message_bytes": 1 << 20, "lookahead_bytes": 65536}
    async with (
        bind_server("127.0.0.1:0", limits=limits, **sizes) as server,
        serve_grpc(server, bridge.servicer, grace_seconds=1),
    ):
        host, _, port = server.address.rpartition(":")
        clients = [socket.create_connection((host, int(port))) for _ in range(at_once)]
        try:
            clients[-1].sendall(sent)
            clients[-1].settimeout(15)
            await asyncio.to_thread(_read_all, clients[-1])
        finally:
            for client in clients:
                client.close()
    bridge.database.close()


def _read_all(client):
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        return
