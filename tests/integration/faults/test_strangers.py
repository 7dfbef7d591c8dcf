"""Streams that were never admitted, and Acks that must outlive a kill, against a real bridge."""

import signal
import urllib.error
from uuid import uuid4

from support.bridges import running_bridge
from support.known_run import KnownRun
from support.otlp import receiving
from support.raw_client import RawClient
from support.waiting import until_true

from bridge.stream_proof import hash_of
from bridge.web.app import ROUTES
from bridge.wire import metrics_pb2 as wire

RUN = KnownRun("run", epoch_batches=50, images_every=0)


def counted(bridge):
    """Return how many batches of the run were counted."""
    return bridge.total("training_batches_total", session_id=RUN.session_id)


def test_a_stranger_speaks_for_nobody(tmp_path):
    """It knows the session's name, also after a restart; the trainer goes on without noticing."""
    state = tmp_path / "state"
    with running_bridge(state) as bridge, RawClient(bridge.grpc, RUN) as trainer:
        trainer.start()
        trainer.stream(*RUN.requests(1, 90))
        speak_out_of_turn(bridge)
        trainer.stream(*RUN.requests(91, 180))
        assert not trainer.ended.is_set()
        assert counted(bridge) == 180
        bridge.stop(signal.SIGKILL)
        token = trainer.token
    with running_bridge(state) as bridge, RawClient(bridge.grpc, RUN) as trainer:
        speak_out_of_turn(bridge)
        trainer.token = token
        trainer.open()
        trainer.sent = trainer.acknowledged = trainer.say(*RUN.requests(1, 180))
        trainer.stream(*RUN.requests(181, 200))
        assert counted(bridge) == 200


def speak_out_of_turn(bridge):
    """Have somebody stream who has not registered, and somebody whose registration was refused."""
    before = counted(bridge)
    with RawClient(bridge.grpc, RUN) as stranger:
        stranger.open()
        last = next(iter(RUN.requests(1, 1)))
        last.sequence = (1 << 63) - 1
        stranger.put([last])
        until_true(lambda: stranger.errors)
        assert stranger.errors[0].code == wire.ErrorResponse.INVALID_SESSION
    with RawClient(bridge.grpc, RUN, numbered=False) as original:
        assert not original.register().success
        original.open()
        original.put(RUN.requests(1, 8))
        until_true(lambda: original.errors)
    assert counted(bridge) == before


PICTURED = KnownRun("run", epoch_batches=4)
ADDRESSES = {"session_id": "run", "epoch": "0", "batch": "1", "position": "0", "slot": "0"}
FORMATS = ("text/plain", "application/openmetrics-text; version=1.0.0", "text/html")


def test_nothing_shows_what_speaks_for_a_session(tmp_path):
    """Neither the instance id nor a token is on any page, in any format, in a span, a metric or the log.

    Whoever has one of them speaks for the session. Held while it lives, after a refused stranger, after a
    restart, and when it is over.
    """
    state = tmp_path / "state"
    secret = f"instance-{uuid4().hex}"
    secrets = {secret, secret[:17]}
    with receiving("grpc") as receiver:
        flags = ("--otlp-endpoint", receiver.url, "--images-keep", "all", "--log-level", "debug")
        for turn in (1, 2):
            with (
                running_bridge(state, *flags) as bridge,
                RawClient(bridge.grpc, PICTURED, instance_id=secret) as trainer,
            ):
                resumed = trainer.start().resume_sequence
                secrets |= {trainer.token, hash_of(trainer.token)}
                for request in PICTURED.requests(4 * turn - 3, 4 * turn):
                    trainer.say(request)
                    request.sequence = resumed = resumed + 1
                    trainer.put([request])
                until_true(lambda it=trainer, last=resumed: it.acknowledged == last)
                speak_out_of_turn(bridge)
                check_nothing_shows(bridge, secrets)
                end = PICTURED.status(wire.COMPLETED)
                end.sequence = resumed + 1
                trainer.put([end])
                until_true(lambda it=trainer, last=resumed + 1: it.acknowledged == last)
                check_nothing_shows(bridge, secrets)
                bridge.stop()
                assert not shown(bridge.log.read_text(), secrets)
        assert receiver.spans
        assert not shown(repr(receiver.spans), secrets)


def check_nothing_shows(bridge, secrets):
    """Ask every address of the table that may be read, in every format."""
    for route in ROUTES:
        if route.method != "GET":
            continue
        path = route.plain
        for name, value in ADDRESSES.items():
            path = path.replace(f"{{{name}}}", value)
        for wanted in FORMATS:
            try:
                body = bridge.get(path, Accept=wanted)
            except urllib.error.HTTPError as error:
                body = error.read() + str(error.headers).encode()
            assert not shown(body.decode("latin-1"), secrets), path


def shown(text, secrets):
    """Return what should not be in a text, and is."""
    return {one for one in secrets if one in text}


def test_what_an_ack_has_covered_outlives_a_kill(tmp_path):
    """A numbered heartbeat and a refused message have an Ack only when their sequence is on disk."""
    state = tmp_path / "state"
    for number in range(1, 4):
        with running_bridge(state) as bridge, RawClient(bridge.grpc, RUN) as trainer:
            resumed = trainer.start().resume_sequence
            assert resumed == 5 * (number - 1)
            beats = [
                wire.MetricsRequest(
                    session_id=RUN.session_id,
                    sequence=resumed + at,
                    heartbeat=wire.Heartbeat(sequence_number=at),
                )
                for at in range(1, 5)
            ]
            invalid = wire.MetricsRequest(session_id=RUN.session_id, sequence=resumed + 5)
            trainer.put([*beats, invalid])
            until_true(lambda it=trainer, last=resumed + 5: it.acknowledged == last)
            bridge.stop(signal.SIGKILL)
