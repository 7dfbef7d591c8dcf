"""A bridge that dies at the most awkward moments: when a commit is all but done, or has just been done."""

from collections import Counter
from pathlib import Path

import pytest
from support import crashing_bridge
from support.attempt_books import attempts_in, check_attempt, check_reports
from support.bridges import launched, running_bridge
from support.checks import Sent, check, check_log, check_shards, check_spans, index_of
from support.known_run import KnownRun
from support.otlp import receiving
from support.ports import free_port
from support.raw_client import RawClient
from support.raw_loops import NumberedLoop, PreemptedLoop
from support.waiting import until_true

COMMITS = (1, 2, 3, 4, 8, 13, 21)
"""The commits to die at, counted from each start of the bridge; the first one is the start's own."""

RATE = 150.0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("keep", ["all", "sample"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_around_a_commit_costs_nothing(tmp_path, moment, keep):
    """Files are written but no row has them, or rows are but no Ack does: all counts once all the same."""
    state, address = tmp_path / "state", f"127.0.0.1:{free_port()}"
    run = KnownRun("awkward", epoch_batches=7, images_every=2, reports_every=3)
    loop = NumberedLoop(RawClient(address, run), batches_per_second=RATE)
    with receiving("grpc") as receiver:
        flags = ("--grpc-address", address, "--images-keep", keep, "--otlp-endpoint", receiver.url,
                 "--images-batches-per-second", "50")  # fmt: skip  # flags beside their values
        loop.start()
        for commit in COMMITS:
            program = (str(Path(crashing_bridge.__file__)), moment, str(commit))
            with launched(state, *flags, program=program) as launch:
                until_true(lambda: launch.process.poll() is not None, seconds=30)
                assert launch.process.returncode < 0, launch.log.read_text()
        with running_bridge(state, *flags) as bridge:
            loop.stop()
            sent = Sent.whole(run, loop.batches)
            check(bridge, sent, keeps_all=keep == "all")
            check_reports(bridge, sent)
            check_spans(receiver, sent)
            indexed = index_of(bridge, run)
            assert bridge.stop() == 0
            check_log(bridge)
    assert check_shards(state, [run]) == Counter(dict.fromkeys(indexed, 1))
    check_attempt(state, sent, keeps_all=keep == "all")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_while_an_attempt_begins_costs_none_of_them(tmp_path, moment):
    """A run that is preempted again and again, on a bridge that dies again and again: each attempt is kept whole.

    The former one with its end, the next one from its beginning, and neither has anything of the other.
    """
    state, address = tmp_path / "state", f"127.0.0.1:{free_port()}"
    run = KnownRun("preempted", epoch_batches=5, images_every=4, reports_every=3)
    loop = PreemptedLoop(address, run, batches=12)
    flags = ("--grpc-address", address, "--images-keep", "all")
    loop.start()
    for commit in COMMITS:
        program = (str(Path(crashing_bridge.__file__)), moment, str(commit))
        with launched(state, *flags, program=program) as launch:
            until_true(lambda: launch.process.poll() is not None, seconds=30)
            assert launch.process.returncode < 0, launch.log.read_text()
    with running_bridge(state, *flags) as bridge:
        loop.stop()
        sent = Sent.whole(run, 12)
        check(bridge, sent, keeps_all=True)
        check_reports(bridge, sent, attempts=len(loop.attempts))
        assert bridge.stop() == 0
        check_log(bridge)
    assert attempts_in(state, run.session_id) == sorted(loop.attempts)
    assert list(loop.attempts) == list(range(1, len(loop.attempts) + 1))
    for attempt in loop.attempts:
        check_attempt(state, sent, attempt, keeps_all=True)
    assert len(loop.attempts) > len(COMMITS) // 2
