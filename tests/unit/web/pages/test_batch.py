"""The page of a batch, and the JPEGs on it."""

import math

import pytest
from support.jpegs import jpeg
from support.pages import NOON, NOON_MS, pictures, running

from bridge.model import Batch, ImageResult
from bridge.storage.image_counts import ImageCount, add_counts
from bridge.web.dependencies import Check


async def test_every_image_is_shown_with_prediction_confidence_and_truth(open_client, stored):
    """Wrong ones are marked in words and in style, right ones are called so, unknown ones are neither."""
    client = await open_client()
    running(client.deps)
    unknown = (jpeg(), None, None, None)
    odd = (jpeg(), 99, math.nan, 0)
    stored.add("run-1", 1, 7, [*pictures(2), unknown, odd], loss=1.25)

    text = await (await client.get("/sessions/run-1/batches/1-7")).text()

    assert 'alt="Image 0: predicted dog, truth dog"' in text
    assert 'alt="Image 1: predicted dog, truth cat"' in text
    assert text.count('<figure class="image wrong">') == 2
    assert text.count("✗ wrong") == 2
    assert text.count('<figure class="image right">') == 1
    assert text.count('<figure class="image unknown">') == 1
    for fragment in (
        "75%",
        "1.250",
        "<dd>2 <small>of 3</small>",
        "2023-11-14 22:13:20 UTC",
        ">99<",
    ):
        assert fragment in text


async def test_batches_lead_to_each_other(open_client, stored):
    """Previous and next skip batches without images."""
    client = await open_client()
    running(client.deps)
    for epoch, batch in ((1, 3), (1, 9), (2, 0)):
        stored.add("run-1", epoch, batch, pictures(1))

    text = await (await client.get("/sessions/run-1/batches/1-9")).text()
    last = await (await client.get("/sessions/run-1/batches/2-0")).text()

    assert 'rel="prev" href="../../../sessions/run-1/batches/1-3"' in text
    assert 'rel="next" href="../../../sessions/run-1/batches/2-0"' in text
    assert 'rel="next"' not in last


@pytest.fixture
async def spiked(open_client, stored):
    """Return a client of a bridge where the images of a spike, 0-150, are not kept, and those of 0-160 are."""
    client = await open_client()
    session = running(client.deps, batches=0, batches_per_epoch=0)
    for number in range(240):
        loss = 9.0 if number == 150 else 0.5
        images = {150: 16, 151: 0, 160: 16}.get(number, 0)
        batch = Batch(0, number, loss, images_received=images)
        session.apply(batch, NOON + number)
    at = {"received_ms": NOON_MS + 160_000}
    stored.add("run-1", 0, 160, pictures(1), loss=0.5, **at)
    return client


async def test_a_link_to_a_batch_shows_that_batch(spiked):
    """A batch whose images were not kept has a page with its numbers, the reason, and the nearest that has some."""
    response = await spiked.get("/go/images?session=run-1&batch=0-150")

    text = await response.text()
    assert response.status == 200
    assert response.url.path == "/sessions/run-1/batches/0-150"
    for fragment in (
        "<h1>Epoch 0, batch 150</h1>",
        "<dd>9.000</dd>",
        "2023-11-14 22:15:50 UTC",
        "No images of it are kept.",
        "16 images came with it.",
        'href="../../../sessions/run-1/batches/0-160"',
    ):
        assert fragment in text


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ({}, "not kept any longer"),
        ({"sampled_out": 3}, "They were sampled out"),
        ({"dropped": 3}, "--spool-max-bytes"),
        ({"invalid": 3, "stored": 9}, "They were refused"),
        ({"sampled_out": 3, "dropped": 7}, "One of these is the reason."),
    ],
)
async def test_the_reason_for_missing_images_is_what_is_known(spiked, stored, results, reason):
    """What became of all images of a session is the reason where there is only one."""
    with stored.database.transaction() as transaction:
        rows = [ImageCount("run-1", 1, ImageResult(name), n, 1) for name, n in results.items()]
        add_counts(transaction, rows)

    text = await (await spiked.get("/sessions/run-1/batches/0-150")).text()

    assert reason in text


async def test_a_batch_that_came_without_images_says_so(spiked):
    """Nothing that the bridge did is the reason."""
    text = await (await spiked.get("/sessions/run-1/batches/0-151")).text()

    assert "No images came with it." in text


async def test_images_that_cannot_be_kept_now_are_the_reason(open_client):
    """What is wrong with the disk is said where images are missed."""
    client = await open_client(readiness=(Check("spool", lambda: "the disk is full"),))
    running(client.deps)

    text = await (await client.get("/sessions/run-1/batches/1-1")).text()

    assert "Images cannot be kept at the moment: the disk is full." in text


async def test_a_batch_between_points_of_the_curve_has_a_page(open_client):
    """Of a long run not every loss is on record: the page says so, and what is known around it."""
    client = await open_client()
    session = running(client.deps, batches=0, batches_per_epoch=0)
    for number in range(1000):
        session.apply(Batch(0, number, 9.0 if number == 400 else 0.5), NOON + number)

    text = await (await client.get("/sessions/run-1/batches/0-401")).text()
    answer = await (await client.get("/api/v1/sessions/run-1/batches/0-401")).json()

    assert "not on record" in text
    assert "from 0.5000 to 9.000" in text
    assert 'href="../../../sessions/run-1/batches/0-400"' in text
    assert (answer["loss"], answer["around"]["batch"]) == (None, 400)


async def test_a_batch_without_a_loss_has_a_page(open_client):
    """What was not reported is called so, and is never a number."""
    client = await open_client()
    session = running(client.deps, batches=0)
    session.apply(Batch(0, 4, None), NOON)

    text = await (await client.get("/sessions/run-1/batches/0-4")).text()

    assert "not reported" in text
    assert "0.000" not in text


async def test_a_batch_that_was_never_reported_is_not_found(spiked):
    """The page and the API say which batches there are; the page leads to the nearest with images."""
    page = await spiked.get("/go/images?session=run-1&batch=0-240")
    answer = await spiked.get("/api/v1/sessions/run-1/batches/7-1")

    text = await page.text()
    assert (page.status, answer.status) == (404, 404)
    assert "No batch with this number is on record" in text
    for place in ("0-0", "0-239", "0-160"):
        assert f'href="../../../sessions/run-1/batches/{place}"' in text
    assert "go from 0-0 to 0-239" in (await answer.json(content_type=None))["detail"]


async def test_the_api_says_of_a_batch_what_the_page_says(spiked):
    """Loss, time, the number of images that came and why they are missing; null with images."""
    spike = await (await spiked.get("/api/v1/sessions/run-1/batches/0-150")).json()
    kept = await (await spiked.get("/api/v1/sessions/run-1/batches/0-160")).json()

    assert (spike["loss"], spike["received_ms"]) == (9.0, NOON_MS + 150_000)
    assert (spike["images"], spike["images_received"]) == ([], 16)
    assert "16 images came with it" in spike["images_missing_because"]
    assert spike["next_with_images"].endswith("/api/v1/sessions/run-1/batches/0-160")
    assert spike["previous_with_images"] is None
    assert kept["images_missing_because"] is None
    assert [image["position"] for image in kept["images"]] == [0]


async def test_a_selection_by_loss_names_the_higher_loss_without_images(spiked):
    """Where the batch shown does not have the highest loss of the time asked for, the page says which has."""
    at = NOON_MS + 170_000
    wide = await (await spiked.get(f"/go/images?session=run-1&at={at}&window_ms=60000")).text()
    narrow = await (await spiked.get(f"/go/images?session=run-1&at={at}&window_ms=15000")).text()
    epoch = await (await spiked.get("/go/images?session=run-1&epoch=0")).text()
    newest = await (await spiked.get("/go/images?session=run-1&prefer=newest")).text()

    for text in (wide, epoch):
        assert "The highest loss of what was asked for is 9.000" in text
        assert 'href="../../../sessions/run-1/batches/0-150"' in text
    assert "The highest loss" not in narrow + newest


async def test_what_is_not_reported_is_not_on_the_page_of_a_batch(open_client, stored):
    """No loss and no confidence: no tile, no "0%", no meter; the API says null."""
    client = await open_client()
    running(client.deps)
    stored.add("run-1", 1, 7, [(jpeg(), 1, None, 0), (jpeg(), 1, 0.0, 1)], loss=-math.inf)

    text = await (await client.get("/sessions/run-1/batches/1-7")).text()
    session = await (await client.get("/sessions/run-1")).text()
    sheet = await client.get("/sessions/run-1/sheet.jpg?batch=1-7")
    answer = await (await client.get("/api/v1/sessions/run-1/images")).json()

    assert '<dt>Loss</dt><dd><span class="absent">not reported</span></dd>' in text
    assert "NaN" not in text + session
    assert "epoch 1, batch 7" not in session.partition("highest loss")[2]
    assert " %" not in text
    assert "<meter" not in text
    assert sheet.status == 200
    (batch,) = answer["batches"]
    assert batch["loss"] is None
    assert [image["confidence"] for image in batch["images"]] == [None, None]
