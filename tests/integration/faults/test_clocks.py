"""A client's clock may say what it likes: the bridge goes by its own."""

import json
import signal
import time

from support import books
from support.bridges import running_bridge
from support.known_run import KnownRun
from support.otlp import receiving
from support.raw_client import RawClient

from bridge.wire import metrics_pb2 as wire

DAY_MS = 24 * 60 * 60 * 1000
CLOCKS = {
    "none": 0,
    "first": 1,  # 1970
    "slow": int(time.time() * 1000) - DAY_MS,
    "fast": int(time.time() * 1000) + DAY_MS,
    "signed": 1 << 63,
    "most": (1 << 64) - 1,
}
"""What messages say the time is, in milliseconds since 1970."""

BATCHES = 20


def run_of(name):
    """Return the run of the client with such a clock."""
    return KnownRun(name, per_epoch=10, width=2)


def messages(name):
    """Yield a whole run whose every timestamp is the client's."""
    run, told = run_of(name), CLOCKS[name]
    yield run.status(wire.RUNNING)
    yield from run.requests(1, BATCHES)
    performance = wire.PerformanceData(time_per_batch_ms=1, timestamp_ms=told)
    yield wire.MetricsRequest(session_id=name, performance_data=performance)
    yield wire.MetricsRequest(session_id=name, heartbeat=wire.Heartbeat(timestamp_ms=told))
    ended = wire.StatusUpdate(status=wire.COMPLETED, timestamp_ms=told)
    yield wire.MetricsRequest(session_id=name, status_update=ended)


def check(bridge, name, *, began):
    """Series and images of a run are there, and of the time when they were received."""
    sent = books.Sent.whole(run_of(name), BATCHES)
    books.check(bridge, sent, keeps_all=True)
    for what in ("session_last_update", "session_start", "last_image"):
        at = bridge.total(f"training_{what}_timestamp_seconds", session_id=name)
        assert began - 1 <= at <= time.time() + 1, (name, what)
    shown = json.loads(bridge.get(f"/api/v1/sessions/{name}/images?limit=200"))
    for batch in shown["batches"]:
        assert (began - 1) * 1000 <= batch["received_ms"] <= (time.time() + 1) * 1000


def test_time_is_when_a_message_was_received(tmp_path):
    """No clock moves a series, a span or an image, or makes anything raise; after a kill neither."""
    began, state = time.time(), tmp_path / "state"
    with receiving("grpc") as receiver:
        flags = ("--images-keep", "all", "--otlp-endpoint", receiver.url)
        with running_bridge(state, *flags) as bridge:
            for name, told in CLOCKS.items():
                with RawClient(bridge.grpc, run_of(name)) as client:
                    client.start()
                    client.say(*messages(name))
                    for request in client.said:
                        request.timestamp_ms = told
                    client.send_new()
                    client.settle()
                check(bridge, name, began=began)
            books.check_log(bridge)
            bridge.stop(signal.SIGKILL)

        with running_bridge(state, *flags) as bridge:
            for name in CLOCKS:
                check(bridge, name, began=began)
                books.check_spans(receiver, books.Sent.whole(run_of(name), BATCHES))
            for span in receiver.spans:
                assert (began - 1) * 1e9 <= span.start_ns <= span.end_ns <= (time.time() + 1) * 1e9
            books.check_log(bridge)
