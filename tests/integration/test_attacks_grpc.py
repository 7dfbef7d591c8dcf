"""What strangers send over gRPC to a real bridge that asks for tokens: refused, bounded in memory, and others are served."""

import socket
from pathlib import Path

import grpc
import pytest
from support.access import Granted, write_tokens
from support.bridges import running_bridge

from bridge.wire import metrics_pb2 as wire
from bridge.wire.metrics_pb2_grpc import MetricsServiceStub

SECONDS = 60
"""Which only a failure takes."""

TRAINER = Granted(("ingest",))

MEBIBYTE = 1 << 20

REGISTER = "/metrics.MetricsService/RegisterTrainingSession"


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    """Run a bridge that asks for tokens."""
    folder = tmp_path_factory.mktemp("attacked")
    tokens = write_tokens(folder / "tokens.yaml", (TRAINER,))
    with running_bridge(folder / "state", "--tokens-file", str(tokens)) as running:
        yield running


def resident(bridge):
    """Return how much memory the bridge has, in bytes."""
    status = Path(f"/proc/{bridge.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def serves(bridge):
    """Register a session with a good token, which fails where the bridge is busy with anything else."""
    with grpc.insecure_channel(bridge.grpc) as channel:
        info = wire.SessionInfo(client_instance_id="i")
        stub = MetricsServiceStub(channel)
        assert stub.RegisterTrainingSession(
            info, metadata=TRAINER.metadata, timeout=SECONDS
        ).success


def code_of(call):
    """Return the status with which a call fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


@pytest.mark.parametrize("metadata", [(), TRAINER.metadata], ids=["a stranger", "a trainer"])
def test_a_message_that_unfolds_is_refused(bridge, metadata):
    """A few kilobytes that are 256 MiB once unpacked cost neither that memory nor anybody's time."""
    before = resident(bridge)
    with grpc.insecure_channel(bridge.grpc, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary(REGISTER, request_serializer=None)
        code = code_of(lambda: call(bytes(256 * MEBIBYTE), metadata=metadata, timeout=SECONDS))
    assert code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAUTHENTICATED)
    assert resident(bridge) - before < 96 * MEBIBYTE
    serves(bridge)


def test_metadata_that_never_ends_is_refused(bridge):
    """What is larger than gRPC takes ends the call before anything of ours sees it."""
    with grpc.insecure_channel(bridge.grpc) as channel:
        call = channel.unary_unary(REGISTER, request_serializer=None)
        for metadata in (
            (("x", "a" * 1_000_000),),
            tuple((f"x{number}", "a" * 100) for number in range(5_000)),
            (("authorization", "Bearer " + "a" * 1_000_000),),
        ):
            code = code_of(lambda given=metadata: call(b"", metadata=given, timeout=SECONDS))
            assert code is not grpc.StatusCode.INTERNAL or bridge.process.poll() is None
            assert code is not grpc.StatusCode.OK
    serves(bridge)


def test_calls_that_are_taken_back_at_once_hold_nothing(bridge):
    """Thousands of streams, each opened and reset (CVE-2023-44487), leave no stream, no memory, and room for others."""
    before = resident(bridge)
    with grpc.insecure_channel(bridge.grpc) as channel:
        stub = MetricsServiceStub(channel)
        for _ in range(5_000):
            stub.StreamMetrics(iter(()), metadata=TRAINER.metadata).cancel()
        with pytest.raises(grpc.RpcError):
            stub.RegisterTrainingSession(wire.SessionInfo(), timeout=SECONDS)
    serves(bridge)
    assert resident(bridge) - before < 96 * MEBIBYTE


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 65_536,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 20_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        + b"\x00\x00\x08\x06\x00\x00\x00\x00\x00abcdefgh"
        * 20_000,
    ],
    ids=["HTTP/1.1", "TLS", "no frames", "SETTINGS over and over", "PING over and over"],
)
def test_what_is_not_grpc_is_cut(bridge, sent):
    """Whatever comes, the connection ends or stays quiet, its memory is bounded, and others are served."""
    before = resident(bridge)
    host, _, port = bridge.grpc.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        _send_and_wait(connection, sent)
    serves(bridge)
    assert resident(bridge) - before < 96 * MEBIBYTE


def _send_and_wait(connection, sent):
    """Send bytes, and wait until the bridge ends the connection; raises TimeoutError where it does not."""
    try:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    except TimeoutError:
        raise
    except OSError:
        return  # it has ended already, while there was more to send


def test_a_flood_of_refused_calls_writes_few_lines(bridge):
    """Thousands of calls without a token, and with a wrong one, are counted; the log has a line of each kind in ten seconds."""
    before = len(bridge.log.read_text().splitlines())
    with grpc.insecure_channel(bridge.grpc) as channel:
        stub = MetricsServiceStub(channel)
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            calls = [
                stub.RegisterTrainingSession.future(
                    wire.SessionInfo(session_id="x"), metadata=metadata, timeout=SECONDS
                )
                for _ in range(1_000)
            ]
            assert {call.code() for call in calls} == {grpc.StatusCode.UNAUTHENTICATED}
    lines = bridge.log.read_text().splitlines()[before:]
    assert len(lines) < 20
    assert "wrong" not in "\n".join(lines)
