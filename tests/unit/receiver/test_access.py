"""Each gRPC call, with each role, as each tenant: who is let through, and until when."""

import asyncio

import grpc
import grpc.aio
import pytest
from support.access import EACH_ROLE, Granted, asking_for, write_tokens
from support.receiver import Bridge, batch
from support.waiting import until

from bridge.access import Role
from bridge.model import Batch
from bridge.protocol import TOKEN_HEADER
from bridge.receiver.servicer import SERVICE
from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

TEAMS = tuple(Granted(("ingest",), prefix) for prefix in ("a.", "b."))

GUARDED = {
    "RegisterTrainingSession": Role.INGEST,
    "StreamMetrics": Role.INGEST,
    "StreamMetricsBatches": Role.INGEST,
}
"""What each call of the service needs: one without a rule fails a test."""

OPEN_SERVICES = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
"""Probes have no credentials, and what the protocol is called is public."""

SECONDS = 60
"""Which only a failure takes."""


@pytest.fixture
async def served(tmp_path, monkeypatch):
    """Return a running bridge that asks for tokens, and its tokens file."""
    monkeypatch.setattr("bridge.access.watched_file.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("bridge.receiver.servicer.WATCH_SECONDS", 0.05)
    file = tmp_path / "tokens.yaml"
    bridge = Bridge(tmp_path, authentication=asking_for(file, (*EACH_ROLE, *TEAMS)))
    bridge.file = file
    async with bridge.running():
        bridge.stub = MetricsServiceStub(bridge.channel)
        yield bridge


async def register(bridge, metadata, session_id="run"):
    """Register a session with whatever metadata."""
    info = wire.SessionInfo(session_id=session_id, client_instance_id="i")
    return await bridge.stub.RegisterTrainingSession(info, metadata=metadata, timeout=SECONDS)


async def refused(call):
    """Return the status and the text with which a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, SECONDS)
    return caught.value.code(), caught.value.details()


def opened(bridge, method, metadata):
    """Return what a call of a method does."""
    if method == "RegisterTrainingSession":
        return register(bridge, metadata)
    return getattr(bridge.stub, method)(metadata=metadata).read()


@pytest.mark.parametrize("method", GUARDED)
@pytest.mark.parametrize(
    "metadata", [(), (("authorization", "Bearer wrong"),), (("authorization", "tb_ingest_all"),)]
)
async def test_nobody_gets_past_a_call_without_credentials(served, method, metadata):
    """No session is registered and no stream opened; the text says what to do and repeats nothing."""
    code, text = await refused(opened(served, method, metadata))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "token" in text
    assert "wrong" not in text
    assert not list(served.sessions)


@pytest.mark.parametrize("method", GUARDED)
@pytest.mark.parametrize(
    "one", [one for one in EACH_ROLE if one.roles != ("ingest",)], ids=lambda one: one.name
)
async def test_another_role_does_not_report(served, method, one):
    """Who may only look, command or scrape is refused, with the role that is needed."""
    code, text = await refused(opened(served, method, one.metadata))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "role ingest" in text


def test_each_call_has_a_rule():
    """A call that is new to the service is thought of here."""
    service = wire.DESCRIPTOR.services_by_name["MetricsService"]
    assert {method.name for method in service.methods} == GUARDED.keys()
    assert service.full_name == SERVICE


async def test_no_other_service_is_there(served):
    """What the server offers besides are probes and the names of its services, and these take no credentials."""
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # noqa: PLC0415

    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo(iter([request]))
    response = await asyncio.wait_for(call.read(), SECONDS)
    names = {service.name for service in response.list_services_response.service}
    assert names == {SERVICE, *OPEN_SERVICES}
    call.cancel()


async def test_a_token_with_a_prefix_reports_its_own_sessions(served):
    """A name outside the prefix is refused, one inside is taken, and one that the bridge makes begins with it."""
    code, text = await refused(register(served, TEAMS[0].metadata, "b.run"))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "'a.'" in text
    assert (await register(served, TEAMS[0].metadata, "a.run")).success
    made = await register(served, TEAMS[0].metadata, "")
    assert made.success
    assert made.session_id.startswith("a.")
    assert not served.sessions.find("b.run")


async def test_another_tenant_cannot_speak_for_a_session(served):
    """Not even with the stream token of its registration."""
    response = await register(served, TEAMS[0].metadata, "a.run")
    stolen = ((TOKEN_HEADER, response.stream_token), *TEAMS[1].metadata)
    stream = served.stub.StreamMetrics(metadata=stolen)
    await stream.write(batch(session_id="a.run"))
    answer = await asyncio.wait_for(stream.read(), SECONDS)
    assert answer.error.code == wire.ErrorResponse.INVALID_SESSION
    assert not served.sink.of(Batch)
    stream.cancel()


async def test_a_stream_does_not_learn_which_sessions_others_have(served):
    """The answer about a foreign session is the one about a foreign name that was never registered."""
    await register(served, TEAMS[0].metadata, "a.run")
    answers = []
    for name in ("a.run", "a.never"):
        stream = served.stub.StreamMetrics(metadata=TEAMS[1].metadata)
        await stream.write(batch(session_id=name))
        answer = await asyncio.wait_for(stream.read(), SECONDS)
        answers.append((answer.error.code, answer.error.message))
        stream.cancel()
    assert answers[0] == answers[1]


async def test_the_longest_prefix_leaves_room_for_names_that_the_bridge_makes(served):
    """A client without a name of its own can register whatever prefix its token has."""
    longest = Granted(("ingest",), "a" * 47 + ".")
    write_tokens(served.file, (longest,))
    made = [await register(served, longest.metadata, "") for _ in range(2)]
    assert all(one.success for one in made), made[0].message
    assert made[0].session_id != made[1].session_id


async def test_a_stream_ends_with_its_token(served):
    """Once the token is out of the file its streams are closed; those of others go on."""
    streams = []
    for one in TEAMS:
        name = f"{one.sessions}run"
        response = await register(served, one.metadata, name)
        metadata = ((TOKEN_HEADER, response.stream_token), *one.metadata)
        stream = served.stub.StreamMetrics(metadata=metadata)
        await stream.write(batch(session_id=name))
        assert (await asyncio.wait_for(stream.read(), SECONDS)).HasField("ack")
        streams.append(stream)
    write_tokens(served.file, (*EACH_ROLE, TEAMS[1]))
    code, text = await refused(_to_the_end(streams[0]))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "connect again" in text
    await streams[1].write(batch(1, session_id="b.run"))
    assert (await asyncio.wait_for(streams[1].read(), SECONDS)).HasField("ack")
    streams[1].cancel()


async def _to_the_end(stream):
    while await stream.read() is not grpc.aio.EOF:
        pass


async def test_refusals_are_counted(served):
    """By what was missing, so that an alert can tell a wrong token from a wrong role."""
    await refused(register(served, ()))
    await refused(register(served, EACH_ROLE[1].metadata))
    value = served.telemetry.registry.get_sample_value
    for reason in ("unauthenticated", "permission_denied"):
        await until(
            lambda reason=reason: value("bridge_streams_refused_total", {"reason": reason}) == 1
        )
