"""A thousand streams at once are served, and the one too many gets an error that says so."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import grpc.aio
from support.bridges import running_bridge
from support.waiting import until

from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

STREAMS = 1_000
STREAMS_PER_CONNECTION = 50
BATCHES = 10
ANSWER_SECONDS = 60


class Client:
    """One session and its stream."""

    def __init__(self, stub, number):
        """Be the client of this number."""
        self.session_id = f"run-{number}"
        self.acknowledged = 0
        self._stub = stub
        self._call = None

    async def register(self):
        """Register the session."""
        info = wire.SessionInfo(session_id=self.session_id, client_instance_id=self.session_id)
        response = await self._stub.RegisterTrainingSession(info, timeout=ANSWER_SECONDS)
        assert response.success
        self._metadata = (("trainbridge-stream-token", response.stream_token),)

    async def open(self):
        """Open the stream, and see it answered."""
        self._call = self._stub.StreamMetrics(metadata=self._metadata)
        await self.send(0)

    async def send(self, sequence):
        """Send a batch of this sequence, or a heartbeat for 0, and wait for its Ack."""
        request = wire.MetricsRequest(session_id=self.session_id, sequence=sequence)
        if sequence:
            request.batch_data.CopyFrom(wire.BatchData(batch_idx=sequence, batch_loss=0.5))
        else:
            request.heartbeat.SetInParent()
        await self._call.write(request)
        while True:
            answer = await self._call.read()
            if answer is grpc.aio.EOF:
                raise EOFError(await self._call.details())
            assert answer.WhichOneof("payload") == "ack", answer
            self.acknowledged = max(self.acknowledged, answer.ack.sequence)
            if self.acknowledged >= sequence:
                return

    async def refusal(self):
        """Open the stream, and return status and text of its end.

        Nothing is sent: a write that fails hides the status that the server gave (grpc.aio).
        """
        call = self._stub.StreamMetrics()
        return await call.code(), await call.details()

    async def close(self):
        """End the stream."""
        await self._call.done_writing()
        while await self._call.read() is not grpc.aio.EOF:
            pass


@asynccontextmanager
async def clients(address, count):
    """Yield so many clients, some of which share a connection."""
    channels = [
        grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        for _ in range(-(-count // STREAMS_PER_CONNECTION))
    ]
    try:
        stubs = [MetricsServiceStub(channel) for channel in channels]
        yield [Client(stubs[n // STREAMS_PER_CONNECTION], n) for n in range(count)]
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


async def all_of(tasks):
    """Wait for all."""
    async with asyncio.timeout(ANSWER_SECONDS):
        await asyncio.gather(*tasks)


async def test_a_thousand_streams_are_served_and_one_more_is_refused(tmp_path):
    """Every Ack of every session arrives; the refusal names the setting, and costs nobody anything."""
    limits = ("--max-streams", f"{STREAMS}", "--max-new-sessions-per-minute", "2000")
    with running_bridge(tmp_path / "state", *limits) as bridge:
        async with clients(bridge.grpc, STREAMS + 1) as (*served, late):
            await all_of(client.register() for client in (*served, late))
            await all_of(client.open() for client in served)
            assert await asyncio.to_thread(bridge.total, "bridge_streams") == STREAMS

            for _ in range(2):
                code, details = await asyncio.wait_for(late.refusal(), ANSWER_SECONDS)
                assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert f"{STREAMS} streams (--max-streams)" in details
            for sequence in range(1, BATCHES + 1):
                await all_of(client.send(sequence) for client in served)

            await served[0].close()
            await until(lambda: bridge.total("bridge_streams") == STREAMS - 1)
            await late.open()
            await all_of(client.send(BATCHES + 1) for client in (*served[1:], late))

            assert {client.acknowledged for client in (*served[1:], late)} == {BATCHES + 1}
            counted = await asyncio.to_thread(bridge.metrics)
    batches = {
        dict(labels)["session_id"]: n for labels, n in counted["training_batches_total"].items()
    }
    assert batches == {
        **{client.session_id: BATCHES + 1 for client in served},
        served[0].session_id: BATCHES,
        late.session_id: 1,
    }
    refusals = frozenset({("code", "RESOURCE_EXHAUSTED")})
    assert counted["bridge_errors_total"] == {refusals: 2}
    assert "Traceback" not in bridge.log.read_text()
