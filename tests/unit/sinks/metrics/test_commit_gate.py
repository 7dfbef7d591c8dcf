"""Tests of pages that show only what is on disk."""

import asyncio

import pytest
from support.series import Scene
from support.waiting import until

from bridge.lifecycle import Expired, Moved
from bridge.model import Batch
from bridge.sinks.metrics import commit_gate
from bridge.sinks.metrics.commit_gate import CommitGate
from bridge.sinks.metrics.exposition import Exposition


class Disk:
    """Commits when it is let."""

    def __init__(self):
        self.writes = asyncio.Event()
        self.asked = 0

    async def committed(self):
        self.asked += 1
        await self.writes.wait()


def batches_on(page):
    """Return what a page counts of all sessions."""
    lines = page.body.decode().splitlines()
    return [line.split()[-1] for line in lines if line.startswith("training_batches_total{")]


@pytest.fixture
def short(monkeypatch):
    """Give up at once."""
    monkeypatch.setattr(commit_gate, "WAIT_SECONDS", 0.01)


@pytest.fixture
def scene():
    """Return a session with one batch."""
    scene = Scene()
    scene.run = scene.session("run")
    scene.tell(scene.run, Batch(1, 0, 0.5))
    return scene


async def test_a_page_waits_for_its_commit(scene):
    """What is not on disk yet is not shown, and is as soon as it is."""
    disk = Disk()
    page = asyncio.ensure_future(
        Exposition(scene.metrics, scene.telemetry, disk.committed).render()
    )
    await until(lambda: disk.asked)
    scene.tell(scene.run, Batch(1, 1, 0.5))
    assert not page.done()

    disk.writes.set()

    assert batches_on(await page) == ["1"]


@pytest.mark.parametrize(("is_shared", "shown"), [(True, ["1"]), (False, ["2"])])
async def test_pages_while_the_database_is_away(scene, short, is_shared, shown):
    """They still answer: where other bridges may have the sessions by now, with what was on disk last."""
    disk = Disk()
    disk.writes.set()
    exposition = Exposition(scene.metrics, scene.telemetry, disk.committed, is_shared=is_shared)
    assert batches_on(await exposition.render()) == ["1"]
    scene.tell(scene.run, Batch(1, 1, 0.5))

    disk.writes.clear()
    away = await exposition.render()
    assert batches_on(away) == shown
    assert b"bridge_build_info{" in away.body

    disk.writes.set()
    await until(lambda: True)
    assert batches_on(await exposition.render()) == ["2"]


async def test_while_it_is_away_no_page_waits_twice(short):
    """Pages that give up leave one wait behind, however many come."""
    disk = Disk()
    gate = CommitGate(disk.committed)

    assert [await gate.passes() for _ in range(5)] == [False] * 5

    assert disk.asked == 1
    disk.writes.set()
    await asyncio.sleep(0)
    assert await gate.passes()


async def test_who_asks_later_gets_what_came_before(scene):
    """A page that waits for its commit is not shared with somebody who has seen more acknowledged since."""
    disk = Disk()
    exposition = Exposition(scene.metrics, scene.telemetry, disk.committed)
    first = asyncio.ensure_future(exposition.render())
    await until(lambda: disk.asked)
    scene.tell(scene.run, Batch(1, 1, 0.5))
    later = [asyncio.ensure_future(exposition.render()) for _ in range(3)]
    disk.writes.set()

    assert batches_on(await first) == ["1"]
    pages = await asyncio.gather(*later)
    assert [batches_on(page) for page in pages] == [["2"]] * 3
    assert disk.asked == 2


@pytest.mark.parametrize("event", [Moved(), Expired()])
async def test_what_went_elsewhere_meanwhile_is_not_shown(scene, event):
    """A session that another bridge takes while the page waits is not on it: that part was never on disk."""
    disk = Disk()
    page = asyncio.ensure_future(
        Exposition(scene.metrics, scene.telemetry, disk.committed).render()
    )
    await until(lambda: disk.asked)
    scene.tell(scene.run, event)
    disk.writes.set()

    assert batches_on(await page) == []
