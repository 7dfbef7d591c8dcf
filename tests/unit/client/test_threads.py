"""What is safe to call from where: several sessions, tasks of asyncio, and threads that should not."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from support.jpegs import jpeg
from support.waiting import until

from bridge.client import CommandType, TrainingSession
from bridge.client.testing import RecordingBridge

THREADS, CALLS = 4, 200
PICTURE = jpeg(shade=10)


def train(session, thread=0):
    """Make every call that a loop makes, again and again."""
    for batch in range(CALLS):
        with session.phase("data"):
            pass
        session.log_batch(
            0.5, epoch=thread, batch=batch, images=[PICTURE], predictions=[1], ground_truth=[1]
        )
        session.log_scalars({"rate": 0.1})
        session.event("checked", number=batch)
        session.wait_while_paused()
        assert not session.should_stop
    session.log_epoch(thread, loss=0.5)


def test_sessions_in_threads_do_not_know_of_each_other():
    """Each has all of its own, and nothing of another's."""
    bridges = [RecordingBridge() for _ in range(THREADS)]

    def run(number):
        with TrainingSession(bridges[number], session_id=f"run-{number}", strict=True) as session:
            train(session, number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))

    for number, bridge in enumerate(bridges):
        assert bridge.identity.session_id == f"run-{number}"
        assert [batch.batch for batch in bridge.batches] == list(range(CALLS))
        assert {batch.epoch for batch in bridge.batches} == {number}


def test_a_session_may_change_its_thread():
    """As with a loop that an executor runs, one call here and the next there."""
    bridge = RecordingBridge()
    with TrainingSession(bridge, strict=True) as session, ThreadPoolExecutor(THREADS) as pool:
        for batch in range(CALLS):
            pool.submit(session.log_batch, 0.5, epoch=0, batch=batch).result()

    assert [batch.batch for batch in bridge.batches] == list(range(CALLS))


async def test_tasks_share_a_session():
    """No call awaits anything, so none of another task comes in between."""
    bridge = RecordingBridge()

    async def work(task):
        for batch in range(CALLS):
            session.log_batch(0.5, epoch=task, batch=batch)
            await asyncio.sleep(0)

    with TrainingSession(bridge, strict=True) as session:
        await asyncio.gather(*(work(task) for task in range(THREADS)))

    assert len(bridge.batches) == THREADS * CALLS


async def test_a_pause_need_not_hold_other_tasks():
    """Waited for in a thread, it leaves the loop of asyncio alone."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        bridge.send_command(CommandType.PAUSE_TRAINING)
        waiting = asyncio.create_task(asyncio.to_thread(session.wait_while_paused))
        await until(lambda: bridge.answers)
        assert not waiting.done()
        bridge.send_command(CommandType.RESUME_TRAINING)
        await waiting


def test_threads_that_share_a_session_cost_nothing_worse_than_counted_faults():
    """Nothing raises, every batch arrives or is counted, and no thread is left."""
    bridge = RecordingBridge()
    before = set(threading.enumerate())
    with TrainingSession(bridge) as session, ThreadPoolExecutor(THREADS) as pool:
        work = [pool.submit(train, session, thread) for thread in range(THREADS)]
        for each in work:
            each.result()
        assert session.flush(60) == 0
        left_out = sum(
            count for what, count in session.stats.left_out.items() if what.startswith("batches")
        )

    assert len(bridge.batches) + left_out == THREADS * CALLS
    assert len(bridge.epochs) == THREADS
    assert set(threading.enumerate()) <= before
