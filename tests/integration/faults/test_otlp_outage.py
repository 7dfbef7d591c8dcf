"""An OTLP endpoint that is away while training goes on and the bridge comes and goes."""

import signal
from contextlib import ExitStack

import pytest
from support.bridges import running_bridge
from support.checks import Sent, check_log, check_series, check_spans
from support.known_run import KnownRun
from support.otlp import PROTOCOLS, receiving
from support.ports import free_port
from support.raw_client import RawClient

from bridge.wire import metrics_pb2 as wire

SESSIONS = 3
PER_EPOCH = 20
STEP = 50
"""Batches that each bridge lives to see: two epochs and a half."""

ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_span_arrives_once_after_an_outage(tmp_path, protocol):
    """Killed and restarted while nobody takes its spans, the bridge delivers each of them, once."""
    state, address = tmp_path / "state", f"127.0.0.1:{free_port()}"
    with receiving(protocol) as receiver:
        endpoint = receiver.url.removesuffix("/v1/traces")
    flags = ("--grpc-address", address, "--otlp-endpoint", endpoint, "--otlp-protocol", protocol,
             "--images-keep", "none", "--shutdown-grace-seconds", "5")  # fmt: skip  # flags beside their values
    runs = [
        KnownRun(f"run-{number}", epoch_batches=PER_EPOCH, images_every=0)
        for number in range(SESSIONS)
    ]
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(address, run)) for run in runs]
        for life, end in enumerate(ENDS):
            with running_bridge(state, *flags) as bridge:
                go_on(clients, life)
                bridge.stop(end)
        bridge = stack.enter_context(running_bridge(state, *flags))
        go_on(clients, len(ENDS))
        for client in clients:
            client.stream(client.run.status(wire.COMPLETED))
        sent = [Sent.whole(run, STEP * (len(ENDS) + 1)) for run in runs]
        for each in sent:
            check_series(bridge, each)
        assert receiver.spans == []
        stack.enter_context(receiving(protocol, port=receiver.port, kept=receiver))

        repeated = [check_spans(receiver, each) for each in sent]

        assert repeated == [0] * SESSIONS
        assert len({span.span_id for span in receiver.spans}) == len(receiver.spans)
        check_log(bridge)


def go_on(clients, life):
    """Have every client come back and stream what it has trained meanwhile."""
    for client in clients:
        client.start()
        client.stream(*client.run.requests(life * STEP + 1, (life + 1) * STEP))
