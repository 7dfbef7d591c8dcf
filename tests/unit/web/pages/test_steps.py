"""A run without epochs says "step", and never "epoch 0"."""

import html
import re

import pytest
from support.pages import pictures

from bridge.lifecycle import Connected, Ended
from bridge.model import (
    Batch,
    Client,
    Config,
    Epoch,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)

NOW = 1000.0


def by_steps(deps, *, steps=300, total=1000, **config):
    """Return a run that counts by steps, as the SDK sends it."""
    config = Config(total_epochs=1, batches_per_epoch=total) if total else Config(**config)
    session = deps.sessions.register("lm", Client("tests", "1"), config).session
    session.apply(Connected(), session.registered_at)
    for step in range(steps):
        session.apply(Batch(0, step, 2.0, step=step, tokens=1024), session.registered_at + step)
    return session


def words(text):
    """Return what a reader sees of a page, tooltips included."""
    return html.unescape(re.sub(r"<[^>]*>", " ", text.partition("<body>")[2]))


@pytest.fixture
async def client(open_client, stored):
    """Return a client of a bridge with a run by steps that has images."""
    client = await open_client()
    by_steps(client.deps)
    stored.add("lm", 0, 250, pictures(2))
    return client


@pytest.mark.parametrize(
    "address", ["/", "/sessions/lm", "/sessions/lm/batches/0-250", "/compare?sessions=lm"]
)
async def test_no_page_says_epoch(client, address):
    """Neither in texts nor in tooltips."""
    text = words(await (await client.get(address)).text())
    text = text.replace("Loss by epoch", "")

    assert "step" in text.casefold()
    assert not re.search(r"\bepoch \d|batch \d", text, re.IGNORECASE), text


async def test_the_page_says_where_it_is(client):
    """The step of how many, what was trained on, and an axis of steps."""
    text = await (await client.get("/sessions/lm")).text()

    assert '<span class="where">step 299 of 1,000</span><span class="much">30%</span>' in text
    assert "<dt>Tokens</dt><dd>307 k</dd>" in text
    assert ">step 0</text>" in text
    assert "<h2>Epochs</h2>" not in text


async def test_a_batch_is_a_step(client):
    """Its page, and the batches beside it."""
    text = await (await client.get("/sessions/lm/batches/0-250")).text()
    assert "<h1>Step 250</h1>" in text

    missing = await client.get("/sessions/lm/batches/0-999")
    assert ">step 0</a> to" in await missing.text()


async def test_the_api_has_steps_alone(client):
    """No epoch and no batch is reported: there are none."""
    session = await (await client.get("/api/v1/sessions/lm")).json()

    assert (session["step"], session["total_steps"], session["tokens"]) == (299, 1000, 307_200)
    assert session["progress_ratio"] == pytest.approx(0.3)
    for name in ("epoch", "batch", "total_epochs", "batches_per_epoch"):
        assert session[name] is None


async def test_steps_of_an_unknown_number(open_client):
    """Nothing is made up where the loop has not said how many."""
    client = await open_client()
    session = by_steps(client.deps, total=0)
    text = await (await client.get("/sessions/lm")).text()
    assert '<span class="where">step 299</span>' in text

    session.apply(StatusChange(Status.COMPLETED), NOW)
    session.apply(Ended(Stage.ENDED), NOW)
    assert "300 steps" in await (await client.get("/sessions/lm")).text()


async def test_before_the_first_step(open_client):
    """The SDK plans one epoch of so many batches: that is not an epoch to wait for."""
    client = await open_client()
    by_steps(client.deps, steps=0)

    assert "0 of 1,000 steps" in await (await client.get("/sessions/lm")).text()


async def test_a_run_with_epochs_keeps_them(open_client):
    """One that reports its step beside them shows both."""
    client = await open_client()
    session = client.deps.sessions.register("run", Client(), Config(4, 10)).session
    session.apply(Batch(0, 3, 2.0, step=3), session.registered_at)
    session.apply(Epoch(0, 2.0), session.registered_at)
    session.apply(Batch(1, 3, 2.0, step=13), session.registered_at)

    text = await (await client.get("/sessions/run")).text()
    assert "epoch 1 of 4" in text
    assert "<dt>Step</dt><dd>13</dd>" in text
    found = await (await client.get("/api/v1/sessions/run")).json()
    assert (found["epoch"], found["batch"], found["step"]) == (1, 3, 13)
    assert found["total_steps"] is None


async def test_a_run_that_only_logs_scalars_by_step(open_client):
    """It has a step, and no epoch 0."""
    client = await open_client()
    session = client.deps.sessions.register("run", Client(), Config()).session
    session.apply(Scalars(0, 0, {"reward": 1.0}, step=500), session.registered_at)

    assert "step 500" in await (await client.get("/sessions/run")).text()


async def test_a_run_by_steps_without_images_has_no_empty_place_for_them(open_client, stored):
    """A language model has none; where images come, they are shown."""
    client = await open_client()
    by_steps(client.deps)
    text = await (await client.get("/sessions/lm")).text()
    assert "Newest images" not in text
    assert "no images" not in text

    stored.add("lm", 0, 250, pictures(2))
    assert "Newest images" in await (await client.get("/sessions/lm")).text()


async def test_a_rank_that_only_counts_has_no_places_for_what_rank_0_reports(open_client):
    """Neither for its loss nor for its images."""
    client = await open_client()
    who = Client("tests", "1", run_id="lm", rank=1, world_size=2)
    config = Config(total_epochs=1, batches_per_epoch=1000)
    session = client.deps.sessions.register("lm-rank1", who, config).session
    session.apply(Connected(), session.registered_at)
    session.apply(Performance(batches=300, step=299), session.registered_at)

    text = words(await (await client.get("/sessions/lm-rank1")).text())

    assert "step 299 of 1,000" in text
    assert "No batch" not in text
    assert "highest loss" not in text
    assert "images yet" not in text
