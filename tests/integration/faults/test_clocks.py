"""A client's clock may say what it likes, and the bridge's own may be set: series, images and lives stay right."""

import json
import signal
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from support import checks
from support.bridges import launched, running_bridge
from support.known_run import KnownRun
from support.otlp import receiving
from support.raw_client import RawClient
from support.waiting import until_true

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
    return KnownRun(name, epoch_batches=10, samples=2)


def messages(name):
    """Yield a whole run whose every timestamp is the client's."""
    run, now_ms = run_of(name), CLOCKS[name]
    yield run.status(wire.RUNNING)
    yield from run.requests(1, BATCHES)
    performance = wire.PerformanceData(time_per_batch_ms=1, timestamp_ms=now_ms)
    yield wire.MetricsRequest(session_id=name, performance_data=performance)
    yield wire.MetricsRequest(session_id=name, heartbeat=wire.Heartbeat(timestamp_ms=now_ms))
    ended = wire.StatusUpdate(status=wire.COMPLETED, timestamp_ms=now_ms)
    yield wire.MetricsRequest(session_id=name, status_update=ended)


def check(bridge, name, *, began):
    """Series and images of a run are there, and of the time when they were received."""
    sent = checks.Sent.whole(run_of(name), BATCHES)
    checks.check(bridge, sent, keeps_all=True)
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
            for name, now_ms in CLOCKS.items():
                with RawClient(bridge.grpc, run_of(name)) as client:
                    client.start()
                    client.say(*messages(name))
                    for request in client.said:
                        request.timestamp_ms = now_ms
                    client.send_new()
                    client.settle()
                check(bridge, name, began=began)
            checks.check_log(bridge)
            bridge.stop(signal.SIGKILL)

        with running_bridge(state, *flags) as bridge:
            for name in CLOCKS:
                check(bridge, name, began=began)
                checks.check_spans(receiver, checks.Sent.whole(run_of(name), BATCHES))
            for span in receiver.spans:
                assert (began - 1) * 1e9 <= span.start_ns <= span.end_ns <= (time.time() + 1) * 1e9
            checks.check_log(bridge)


HOUR = 3_600
STEPPED = Path(checks.__file__).with_name("stepped_bridge.py")


class Clock:
    """The wall clock of a bridge, which a test sets."""

    def __init__(self, path):
        self.path = path
        self.set(0)

    def set(self, seconds):
        """Put it so far ahead of the real one, at once."""
        new = self.path.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.path)


@contextmanager
def stepped_bridge(state, clock, *flags):
    """Start a bridge with this clock."""
    with launched(state, *flags, program=(str(STEPPED), str(clock.path))) as launch:
        yield launch.ready()


def shown(bridge, name):
    """Return what the API says of a session."""
    return json.loads(bridge.get(f"/api/v1/sessions/{name}"))


def looks_for_what_is_due(bridge, name):
    """Wait until the bridge has looked for what is due: with each look it counts its sessions anew."""
    before = bridge.total("bridge_sessions", state="live")
    with RawClient(bridge.grpc, KnownRun(name)) as another:
        another.register()
    until_true(lambda: bridge.total("bridge_sessions", state="live") > before)


def test_setting_the_clock_ends_no_life(tmp_path):
    """Live, resumed and ended sessions stay what they are, whichever way the clock is set, and over a restart.

    What was lost or expired, doubled or disconnected would be in the log.
    """
    clock, state = Clock(tmp_path / "clock"), tmp_path / "state"
    flags = ("--session-lost-seconds", "900", "--session-linger-seconds", "900")
    live, done = KnownRun("live", epoch_batches=1_000), KnownRun("done", epoch_batches=1_000)
    numbers = count(1)

    with RawClient("", live) as client:

        def goes_on(bridge):
            number = next(numbers)
            looks_for_what_is_due(bridge, f"other-{number}")
            client.stream(live.batch(number))
            for name in ("live", "done"):
                assert shown(bridge, name)["stage"] == ("live" if name == "live" else "ended")
                assert bridge.total("training_batches_total", session_id=name) > 0
            assert shown(bridge, "live")["connected"]
            assert not client.ended.is_set()
            now = time.time() + float(clock.path.read_text())
            at = bridge.total("training_session_last_update_timestamp_seconds", session_id="live")
            assert abs(at - now) < 60

        with stepped_bridge(state, clock, *flags) as bridge:
            with RawClient(bridge.grpc, done) as other:
                other.start()
                other.stream(done.batch(1), done.status(wire.COMPLETED))
            client.address = bridge.grpc
            client.start()
            client.stream(live.batch(next(numbers)))
            for offset in (2 * HOUR, -2 * HOUR, 40 * HOUR, 0):
                clock.set(offset)
                goes_on(bridge)
            assert bridge.stop() == 0

        for offset in (2 * HOUR, -3 * HOUR):
            clock.set(offset)
            with stepped_bridge(state, clock, *flags) as bridge:
                client.address = bridge.grpc
                client.start()
                goes_on(bridge)
                clock.set(offset - HOUR)
                goes_on(bridge)
                if offset > 0:
                    bridge.stop(signal.SIGKILL)
        log = (tmp_path / "state.log").read_text()
        for word in ("lost", "expired", "ended"):
            assert f"session {word}" not in log
        assert "Traceback" not in log
