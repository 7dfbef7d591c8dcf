"""The page of a batch, and the JPEGs on it."""

import math

from support.jpegs import jpeg
from support.pages import pictures, running


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


async def test_a_batch_without_images_names_the_nearest(open_client, stored):
    """A link to a batch that was not kept leads on to its neighbours."""
    client = await open_client()
    running(client.deps)
    stored.add("run-1", 1, 3, pictures(1))

    response = await client.get("/sessions/run-1/batches/1-4")

    text = await response.text()
    assert response.status == 404
    assert "No images of this batch are kept" in text
    assert "/sessions/run-1/batches/1-3" in text


async def test_what_is_not_reported_is_not_on_the_page_of_a_batch(open_client, stored):
    """No loss and no confidence: no tile, no "0%", no meter; the API says null."""
    client = await open_client()
    running(client.deps)
    stored.add("run-1", 1, 7, [(jpeg(), 1, None, 0), (jpeg(), 1, 0.0, 1)], loss=-math.inf)

    text = await (await client.get("/sessions/run-1/batches/1-7")).text()
    session = await (await client.get("/sessions/run-1")).text()
    sheet = await client.get("/sessions/run-1/sheet.jpg?batch=1-7")
    answer = await (await client.get("/api/v1/sessions/run-1/images")).json()

    assert "<dt>Loss</dt>" not in text
    assert "NaN" not in text + session
    assert "No batch with images has reported a loss." in session
    assert " %" not in text
    assert "<meter" not in text
    assert sheet.status == 200
    (batch,) = answer["batches"]
    assert batch["loss"] is None
    assert [image["confidence"] for image in batch["images"]] == [None, None]
