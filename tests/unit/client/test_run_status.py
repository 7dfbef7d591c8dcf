"""Statuses on their way to the queue of a session."""

import signal

import pytest
from support.fake_bridge import FakeBridge, serving
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.capture.call_queue import MIN_CALLS, CallQueue
from bridge.client.endings import TerminatedError
from bridge.client.left_out import LeftOut, Reason
from bridge.client.run_status import RunStatus
from bridge.client.stats import Stats
from bridge.protocol import CommandType, Status
from bridge.wire import metrics_pb2 as wire


def test_statuses_take_a_bounded_amount_of_memory():
    """A loop that reports one at every step loses those that are too many, and they are counted; the end stays."""
    queue, account = CallQueue(0), LeftOut()
    status = RunStatus(queue, account)

    for _ in range(10 * MIN_CALLS):
        status.report(Status.RUNNING)
    status.report(Status.COMPLETED)

    assert len(queue) == 2 * MIN_CALLS + 1
    assert account.of("statuses", Reason.MEMORY) == 8 * MIN_CALLS
    assert Stats().snapshot(account).dropped == 8 * MIN_CALLS
    assert status.is_over
    assert [call.status for call in queue.take(1_000)][-1] is Status.COMPLETED


@pytest.mark.parametrize(
    ("error", "status", "ending", "message"),
    [
        (None, Status.COMPLETED, "", "done"),
        (SystemExit(0), Status.COMPLETED, "", "done"),
        (KeyboardInterrupt(), Status.FAILED, "interrupted", "KeyboardInterrupt"),
        (SystemExit(130), Status.FAILED, "interrupted", "SystemExit: 130"),
        (SystemExit(143), Status.FAILED, "terminated", "SystemExit: 143"),
        (SystemExit(128 + signal.SIGUSR1), Status.FAILED, "terminated", "SystemExit: 138"),
        (TerminatedError("SIGTERM"), Status.FAILED, "terminated", "SIGTERM"),
        (SystemExit(137), Status.FAILED, "", "SystemExit: 137"),
        (SystemExit(3), Status.FAILED, "", "SystemExit: 3"),
        (SystemExit("143"), Status.FAILED, "", "SystemExit: 143"),
        (ValueError("no data"), Status.FAILED, "", "ValueError: no data"),
    ],
)
def test_how_a_run_ended_is_said_in_words_that_old_bridges_understand(
    error, status, ending, message
):
    """COMPLETED and FAILED stay what they were, and the ending stands beside them."""
    (call,) = ended(error, "done")

    assert (call.status, call.ending, call.message) == (status, ending, message)


def test_a_loop_that_obeys_a_command_has_stopped():
    """An exception on its way out counts for more."""
    assert ended(None, is_stopped=True)[0][1:4] == (
        Status.COMPLETED,
        "stopped by command",
        "stopped",
    )
    assert ended(ValueError(), is_stopped=True)[0].status is Status.FAILED


@pytest.mark.parametrize(
    ("command", "asks", "ending"),
    [
        (CommandType.STOP_TRAINING, True, "stopped"),
        (CommandType.STOP_TRAINING, False, ""),
        (CommandType.PAUSE_TRAINING, True, ""),
    ],
)
def test_only_a_loop_that_has_asked_was_stopped_by_a_command(command, asks, ending):
    """One that came to its end by itself meanwhile has completed."""
    with serving(FakeBridge()) as bridge, TrainingSession(bridge.address) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        bridge.commands.append(wire.ControlCommand(type=int(command), command_id="c"))
        session.log_batch(0.5, epoch=0, batch=1)
        until_true(lambda: session._commands._received)
        if asks:
            assert session.should_stop is (command is CommandType.STOP_TRAINING)
        session.close()
        last = bridge.of("status_update")[-1]

    assert (last.status, last.ending) == (wire.COMPLETED, ending)


def ended(error, message="", **options):
    """Return the calls that report this end."""
    queue = CallQueue(0)
    RunStatus(queue, LeftOut()).report_end(error, message, **options)
    return queue.take(10)
