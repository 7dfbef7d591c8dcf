"""The gRPC server, over real gRPC."""

import asyncio
import threading
from contextlib import AsyncExitStack
from dataclasses import replace

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from support.jpegs import jpeg, png
from support.receiver import LIMITS, Bridge, Trainer, batch, hear, registered, registered_here, say
from support.waiting import until

from bridge.commands import State
from bridge.errors import SettingError
from bridge.lifecycle import (
    CommandAnswered,
    CommandSent,
    Connected,
    Disconnected,
    Ended,
    Registered,
    SentElsewhere,
)
from bridge.model import Batch, Client, Config, Epoch, Heartbeat, Update
from bridge.protocol import CommandType
from bridge.receiver.server import bind_server
from bridge.receiver.server_config import ServerConfig
from bridge.receiver.servicer import Servicer
from bridge.receiver.stream import Stream
from bridge.wire import metrics_pb2 as wire

ERROR = wire.ErrorResponse


async def test_registering_tells_the_terms(bridge):
    """A client learns its session id and what it may send."""
    response = await bridge.stub.RegisterTrainingSession(wire.SessionInfo(client_name="t"))

    assert response.success
    assert response.session_id
    assert response.attempt == 1
    config = response.server_config
    assert (config.max_batch_size, config.max_image_dimension) == (16, 64)
    assert (config.heartbeat_interval_ms, config.image_batches_per_second) == (20_000, 2.0)
    assert (config.buffer_size, config.max_message_bytes) == (64 << 20, 32 << 20)
    assert bridge.sink.of(Registered)


@pytest.mark.parametrize("bad", ["../../x", "<script>alert(1)</script>", "x" * 10_240, "a\nb"])
async def test_a_bad_session_id_is_refused_with_the_rule(bridge, bad):
    """Registering with it answers success=false; nothing is created."""
    response = await bridge.stub.RegisterTrainingSession(wire.SessionInfo(session_id=bad))

    assert not response.success
    assert "must match" in response.message
    assert len(bridge.sessions) == 0


async def test_a_client_without_sequences_gets_an_ack_a_batch(bridge):
    """Each batch is acknowledged by its index; epochs are taken without."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    epoch = wire.MetricsRequest(session_id="run", epoch_data=wire.EpochData(epoch=1))

    await say(stream, batch(0), batch(1), epoch, batch(2))
    acks = [(await hear(stream)).ack for _ in range(3)]
    await stream.done_writing()

    assert [(ack.batch_idx, ack.success, ack.sequence) for ack in acks] == [
        (0, True, 0),
        (1, True, 0),
        (2, True, 0),
    ]
    assert await stream.read() is grpc.aio.EOF
    assert len(bridge.sink.of(Batch)) == 3
    assert len(bridge.sink.of(Epoch)) == 1


async def test_a_client_with_sequences_gets_cumulative_acks(bridge):
    """The last ack covers everything, and what is sent twice is applied once."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetricsBatches()
    requests = [batch(number, sequence=number) for number in (1, 2, 3)]

    await stream.write(wire.MetricsRequestBatch(requests=requests))
    await stream.write(wire.MetricsRequestBatch(requests=requests))
    await stream.done_writing()
    acks = [answer.ack async for answer in stream]

    assert acks[-1].sequence == 3
    assert [event.index for event in bridge.sink.of(Batch)] == [1, 2, 3]


@pytest.mark.parametrize("method", ["StreamMetrics", "StreamMetricsBatches"])
async def test_bad_bytes_do_not_end_the_stream(bridge, method):
    """Undecodable bytes and bad UTF-8 are answered INVALID_DATA; the next good message is served."""
    await registered(bridge.stub)
    call = bridge.channel.stream_stream(
        f"/metrics.MetricsService/{method}", response_deserializer=wire.MetricsResponse.FromString
    )(metadata=bridge.stub.metadata())
    good = batch(4)
    frame = wire.MetricsRequestBatch(requests=[good])
    goods = {"StreamMetrics": good, "StreamMetricsBatches": frame}

    for bad in (b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\xff\xff\xff\xff\x0f"):
        await call.write(bad)
        answer = await hear(call)
        assert answer.error.code == ERROR.INVALID_DATA
        assert "readable" in answer.error.message
    await call.write(goods[method].SerializeToString())

    assert (await hear(call)).ack.batch_idx == 4
    await call.done_writing()


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (batch(images=[jpeg()] * 17), "images: 17 are more than the 16 allowed"),
        (batch(images=[jpeg()], ground_truth=[1, 2]), "do not match"),
        (wire.MetricsRequest(session_id="run"), "payload: none is set"),
    ],
)
async def test_a_broken_rule_is_named_and_the_stream_lives(bridge, request_, reason):
    """INVALID_DATA names field and reason; nothing of the message is applied."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()

    await say(stream, request_, batch(9))
    refusal, ack = await hear(stream), await hear(stream)
    await stream.done_writing()

    assert refusal.error.code == ERROR.INVALID_DATA
    assert reason in refusal.error.message
    assert not refusal.error.retryable
    assert ack.ack.batch_idx == 9
    assert len(bridge.sink.of(Batch)) == 1


async def test_a_bad_image_is_reported_and_the_batch_counts(bridge):
    """PNG and empty images cost only themselves."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()

    await say(stream, batch(5, images=[jpeg(), png(), b""]))
    answers = [await hear(stream), await hear(stream)]
    await stream.done_writing()

    (error,) = [answer.error for answer in answers if answer.HasField("error")]
    (ack,) = [answer.ack for answer in answers if answer.HasField("ack")]
    assert "images[1].image_bytes is not a JPEG; images[2].image_bytes is empty" in error.message
    assert (ack.batch_idx, ack.success) == (5, True)
    (event,) = bridge.sink.of(Batch)
    assert (len(event.images), event.invalid_images) == (1, 2)


async def test_acks_tell_what_became_of_images(bridge):
    """Each ack counts the images kept and not kept since the one before."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()

    await say(stream, batch(0))
    await hear(stream)
    bridge.image_counts["run"] = (3, 1)
    await say(stream, batch(1))
    first = (await hear(stream)).ack
    bridge.image_counts["run"] = (4, 1)
    await say(stream, batch(2))
    second = (await hear(stream)).ack
    await stream.done_writing()

    assert (first.images_kept, first.images_dropped) == (3, 1)
    assert (second.images_kept, second.images_dropped) == (1, 0)


@pytest.mark.parametrize("drains", [False, True], ids=["ends", "drains"])
async def test_what_became_of_images_after_the_last_ack_is_reported_too(bridge, drains):
    """Whether a stream ends or its bridge does, or the client has connected again: the sum is what there is."""
    acks = []
    for round_ in (1, 2):
        await registered(bridge.stub)
        stream = bridge.stub.StreamMetrics()
        await say(stream, batch(round_, sequence=round_))
        while not (answer := await hear(stream)).ack.sequence:
            pass
        acks.append(answer.ack)
        bridge.image_counts["run"] = (3 * round_, round_)
        if drains and round_ == 2:
            await bridge.servicer.drain(5.0)
        else:
            await stream.done_writing()
        while (answer := await stream.read()) is not grpc.aio.EOF:
            acks.append(answer.ack)
        bridge.image_counts["run"] = (3 * round_ + 1, round_)

    assert sum(ack.images_kept for ack in acks) == 6
    assert sum(ack.images_dropped for ack in acks) == 2


async def test_an_unknown_session_is_reported_once_and_makes_no_series(bridge):
    """A flood of foreign messages gets one INVALID_SESSION a second, and the stream stays open."""
    stream = bridge.stub.StreamMetrics()

    await say(stream, *[batch(session_id="nobody") for _ in range(50)])
    assert (await hear(stream)).error.code == ERROR.INVALID_SESSION
    await until(lambda: bridge.errors("INVALID_SESSION") == 50)
    await stream.done_writing()
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    await say(stream, batch(3))
    answer = await hear(stream)
    await stream.done_writing()

    assert answer.ack.batch_idx == 3
    assert len(bridge.sessions) == 1


async def test_a_stream_speaks_for_one_session(bridge):
    """A second session on the same stream is refused by name, and the first goes on."""
    await registered(bridge.stub, "run")
    await registered(bridge.stub, "other")
    stream = bridge.stub.StreamMetrics()

    await say(stream, batch(1), batch(2, session_id="other"), batch(3))
    answers = [await hear(stream) for _ in range(3)]
    await stream.done_writing()

    (error,) = [answer.error for answer in answers if answer.HasField("error")]
    assert error.code == ERROR.INVALID_DATA
    assert "session_id" in error.message
    assert [event.index for event in bridge.sink.of(Batch)] == [1, 3]


async def test_a_heartbeat_is_answered_at_once(bridge):
    """The answer carries what has been committed so far."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    beat = wire.MetricsRequest(session_id="run", heartbeat=wire.Heartbeat(sequence_number=1))

    await say(stream, batch(1, sequence=1))
    await hear(stream)
    bridge.sessions.get("run").committed = 1
    await say(stream, beat)
    ack = (await hear(stream)).ack
    await stream.done_writing()

    assert (ack.success, ack.sequence, ack.batch_idx) == (True, 1, 1)


async def test_a_stream_that_was_superseded_is_aborted(bridge):
    """Another process has taken the session over: what the first one says late is refused, not mixed in."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    await say(stream, batch(1, sequence=1))
    await hear(stream)
    bridge.sessions.get("run").heard_at -= 1_000
    other = wire.SessionInfo(session_id="run", client_instance_id="other")
    assert (await bridge.stub.RegisterTrainingSession(other)).success

    await say(stream, batch(2, sequence=500))
    refusal = await hear(stream)
    await stream.done_writing()

    assert "taken the session over" in refusal.error.message
    assert bridge.sessions.get("run").accepted == 0


async def test_a_disk_that_hangs_holds_up_the_registration_alone(tmp_path):
    """Whether a session is known from before is asked of the disk; streams go on meanwhile."""
    hanging = threading.Event()
    bridge = Bridge(tmp_path)
    bridge.deps = replace(bridge.deps, load_archived=lambda _: hanging.wait(30) and None)
    bridge.servicer = Servicer(bridge.deps, ServerConfig())
    async with bridge.running() as stub:
        registered_here(bridge, "run")
        stream = stub.StreamMetrics()
        waiting = asyncio.ensure_future(registered(stub, "from-before"))
        for index in range(3):
            await say(stream, batch(index))
            assert (await hear(stream)).ack.success
        assert not waiting.done()

        hanging.set()
        assert await waiting == "from-before"
        await stream.done_writing()


async def test_the_newest_stream_of_a_client_wins(bridge):
    """The one before, which may be dead without knowing it, is closed, and what it still brings is left out."""
    await registered(bridge.stub)
    old, new = bridge.stub.StreamMetrics(), bridge.stub.StreamMetrics()
    await say(old, batch(1, sequence=1))
    assert (await hear(old)).ack.sequence == 1

    await registered(bridge.stub)
    await say(new, batch(1, sequence=1), batch(2, sequence=2))
    await until(lambda: bridge.sessions.get("run").accepted == 2)
    with pytest.raises(grpc.aio.AioRpcError, match="taken over") as closed:
        await hear(old)

    assert closed.value.code() is grpc.StatusCode.ABORTED
    await say(new, batch(3, sequence=3))
    await until(lambda: bridge.sessions.get("run").accepted == 3)
    await new.done_writing()
    assert [event.index for event in bridge.sink.of(Batch)] == [1, 2, 3]
    assert not bridge.sink.of(Disconnected)


async def test_clients_without_a_name_keep_their_streams(bridge):
    """Nothing distinguishes two of them, so neither is closed for the other."""
    assert (await bridge.stub.RegisterTrainingSession(wire.SessionInfo(session_id="run"))).success
    streams = [bridge.stub.StreamMetrics() for _ in range(2)]
    for stream in (*streams, *streams):
        await say(stream, batch(1))
        assert (await hear(stream)).ack.success
    for stream in streams:
        await stream.done_writing()


async def test_a_heartbeat_promises_nothing_that_is_not_committed(tmp_path):
    """Before the commit it does not name the batch that was received."""
    bridge = Bridge(tmp_path)
    bridge.pipeline.register("run", Client(), Config())
    stream = Stream(bridge.deps)
    heard = []

    async def write(answer) -> None:
        heard.append(answer.ack.batch_idx)

    stream.receive([Update("run", Batch(1, 7, 0.5)), Update("run", Heartbeat())], 10)
    writing = asyncio.create_task(stream.write_to(write))
    await until(lambda: heard)
    assert heard == [0]
    stream.on_committed(1)
    stream.finish()
    await writing
    bridge.database.close()

    assert heard == [0, 7]


async def test_a_status_ends_the_session_and_a_lost_stream_does_not(bridge):
    """Only COMPLETED or FAILED ends a session; a cancelled stream disconnects it."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    await say(stream, batch(1))
    await hear(stream)
    stream.cancel()
    await until(lambda: bridge.sink.of(Disconnected))
    assert not bridge.sink.of(Ended)

    stream = bridge.stub.StreamMetrics()
    done = wire.StatusUpdate(status=wire.COMPLETED)
    await say(stream, batch(2), wire.MetricsRequest(session_id="run", status_update=done))
    await stream.done_writing()
    await until(lambda: bridge.sink.of(Ended))

    assert len(bridge.sink.of(Connected)) == 2


async def test_commands_go_out_and_their_answers_come_back(bridge):
    """A command is written to the session's stream; the loop's answer is noted."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    await say(stream, batch(1))
    await hear(stream)

    bridge.commands.submit("run", CommandType.CHANGE_LEARNING_RATE, {"learning_rate": "0.1"}, "c1")
    command = (await hear(stream)).command
    result = wire.CommandResult(command_id="c1", applied=True, message="ok", epoch=1, batch_idx=1)
    await say(stream, wire.MetricsRequest(session_id="run", command_result=result))
    await until(lambda: bridge.sink.of(CommandAnswered))
    await say(stream, wire.MetricsRequest(session_id="run", command_result=result))
    result.command_id = "nobody's"
    await say(stream, wire.MetricsRequest(session_id="run", command_result=result))
    refusal = await hear(stream)
    await stream.done_writing()

    assert command.type == wire.ControlCommand.CHANGE_LEARNING_RATE
    assert dict(command.parameters) == {"learning_rate": "0.1"}
    assert bridge.sink.of(CommandSent)
    assert [command.state for command in bridge.commands.of("run")] == [State.APPLIED]
    assert "command_id" in refusal.error.message


async def test_an_unanswered_command_goes_out_again_on_the_next_stream(bridge):
    """It may have been lost with the stream it was written to; its id keeps the loop from obeying twice."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    await say(stream, batch(1, sequence=1))
    await hear(stream)
    bridge.pipeline.submit("run", CommandType.PAUSE_TRAINING, {}, "c1")
    assert (await hear(stream)).command.command_id == "c1"
    stream.cancel()

    again = bridge.stub.StreamMetrics()
    await say(again, batch(2, sequence=2))
    while not (answer := await hear(again)).HasField("command"):
        pass
    await again.done_writing()

    assert answer.command.command_id == "c1"


async def test_an_oversized_message_costs_its_stream_only(bridge):
    """Above the limit gRPC refuses; other streams and the session are unharmed."""
    await registered(bridge.stub)
    other = bridge.stub.StreamMetrics()
    await say(other, batch(1))
    await hear(other)

    stream = bridge.stub.StreamMetrics()
    await stream.write(batch(2, images=[bytes(2 << 20)]))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stream.read()

    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await say(other, batch(3))
    assert (await hear(other)).ack.batch_idx == 3
    await other.done_writing()


async def test_limits_are_reported_by_name(tmp_path):
    """One stream over the limit is refused with a reason, the others are served."""
    bridge = Bridge(tmp_path, max_streams=1)
    async with bridge.running() as stub:
        await registered(stub)
        first = stub.StreamMetrics()
        await say(first, batch(1))
        await hear(first)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.StreamMetrics().read()
        await first.done_writing()
        for number in range(4):
            await registered(stub, f"run{number}")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RegisterTrainingSession(wire.SessionInfo())

    assert raised.value.code() == refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "--max-streams" in raised.value.details()
    assert "--max-sessions" in refused.value.details()


async def test_a_stop_says_so_and_answers_what_it_took(tmp_path):
    """On stopping, streams get their acks and a Draining, and end cleanly."""
    bridge = Bridge(tmp_path)
    heard = []

    async def listen(stream) -> None:
        async for answer in stream:
            heard.append(answer)  # noqa: PERF401 -- each must be seen as it comes

    async with AsyncExitStack() as outside:
        async with bridge.running() as stub:
            await registered(stub)
            channel = await outside.enter_async_context(grpc.aio.insecure_channel(bridge.address))
            stream = Trainer(channel, bridge.tokens).StreamMetrics()
            listening = asyncio.create_task(listen(stream))
            await say(stream, batch(1))
            await until(lambda: heard)
        async with asyncio.timeout(60):
            await listening

    assert [answer.WhichOneof("payload") for answer in heard] == ["ack", "draining"]
    assert heard[1].draining.reconnect_after_ms > 0


async def test_no_internal_text_reaches_a_client(bridge, monkeypatch):
    """A fault of ours is INTERNAL_ERROR without its text, and the stream lives."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    accept = bridge.pipeline.accept

    def broken(update, holder, listener):
        monkeypatch.setattr(bridge.pipeline, "accept", accept)
        raise RuntimeError("secret internals")

    monkeypatch.setattr(bridge.pipeline, "accept", broken)
    await say(stream, batch(1), batch(2))
    error, ack = await hear(stream), await hear(stream)
    await stream.done_writing()

    assert (error.error.code, error.error.message) == (ERROR.INTERNAL_ERROR, "internal error")
    assert ack.ack.batch_idx == 2


async def test_a_taken_port_is_a_clear_error(bridge):
    """A second bridge on the same port is refused, not silently bound."""
    with pytest.raises(SettingError, match="where another program listens already"):
        async with bind_server(bridge.address, **LIMITS):
            pass


async def test_health_and_reflection_answer(bridge):
    """Probes and grpcurl find what they look for."""
    stub = health_pb2_grpc.HealthStub(bridge.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service="metrics.MetricsService"))

    def services() -> list[str]:
        with grpc.insecure_channel(bridge.address) as channel:
            return list(ProtoReflectionDescriptorDatabase(channel).get_services())

    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert "metrics.MetricsService" in await asyncio.to_thread(services)


async def test_a_frame_over_the_limit_is_not_acknowledged_by_the_next(bridge):
    """Messages 101 to 5100 in one frame are too many: what was not taken holds up the Acks behind it."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetricsBatches()
    for first, last in ((1, 100), (101, 5_100), (5_101, 5_110)):
        requests = [batch(sequence=sequence) for sequence in range(first, last + 1)]
        await stream.write(wire.MetricsRequestBatch(requests=requests))
    await stream.done_writing()
    answers = [answer async for answer in stream]

    assert len(bridge.sink.of(Batch)) == 100 + 4_096
    assert max(answer.ack.sequence for answer in answers) == 4_196
    errors = [answer.error for answer in answers if answer.HasField("error")]
    assert {(error.code, error.sequence) for error in errors} == {(ERROR.BUFFER_FULL, 4_197)}
    assert all(error.retryable and error.retry_after_ms for error in errors)


async def test_a_refused_registration_says_who_holds_the_name_and_when_to_ask_again(bridge):
    """A process that resumes a run need not guess why it is locked out, nor for how long."""
    first = wire.SessionInfo(session_id="run", client_name="train.py", client_instance_id="a")
    assert (await bridge.stub.RegisterTrainingSession(first)).success

    other = wire.SessionInfo(session_id="run", client_instance_id="b")
    response = await bridge.stub.RegisterTrainingSession(other)

    assert not response.success
    assert "(train.py on loopback); the name is free in 60 s" in response.message
    assert response.retry_after_ms == 5_000
    assert (await bridge.stub.RegisterTrainingSession(first)).success


async def test_a_drained_stream_leaves_a_session_that_went_on_elsewhere(bridge):
    """A bridge that stops may be back before its clients have ended elsewhere: it never says that they run."""
    await registered(bridge.stub)
    stream = bridge.stub.StreamMetrics()
    await say(stream, batch(1, sequence=1))
    await hear(stream)

    await bridge.servicer.drain(5.0)
    while await stream.read() is not grpc.aio.EOF:
        pass

    session = bridge.sessions.get("run")
    assert [type(event) for event in bridge.sink.of(SentElsewhere)] == [SentElsewhere]
    await until(lambda: not session.connected)

    assert session.has_moved


@pytest.mark.parametrize(
    ("fields", "what", "reason"),
    [
        ({"config_json": "{"}, "run_config", "unreadable"),
        ({"run_id": "no name"}, "run_id", "invalid"),
    ],
)
async def test_what_cannot_be_used_of_a_registration_is_counted(bridge, fields, what, reason):
    """The session is registered all the same, and whoever misses it finds why."""
    await registered(bridge.stub, **fields)

    labels = {"what": what, "reason": reason}
    count = bridge.telemetry.registry.get_sample_value("bridge_dropped_total", labels)
    assert count == 1


async def test_an_empty_configuration_is_one(bridge):
    """Nothing is missing."""
    await registered(bridge.stub, config_json="{}")

    labels = {"what": "run_config", "reason": "unreadable"}
    assert bridge.telemetry.registry.get_sample_value("bridge_dropped_total", labels) is None
