"""The page of a batch, and the JPEGs on it."""

import math

from support.jpegs import jpeg
from support.pages import NOON_MS, pictures, running

from bridge.storage.index import ImageLocation, IndexedImage
from bridge.web.pages.contact_sheet import label_of


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


async def test_a_jpeg_is_served_byte_for_byte_and_for_ever(open_client, stored):
    """Content type, caching and origin policy are set by the bridge; what a browser has cached is not sent again."""
    client = await open_client()
    running(client.deps)
    images = pictures(3)
    stored.add("run-1", 1, 7, images)

    response = await client.get("/sessions/run-1/batches/1-7/2.jpg")
    again = await client.get(
        "/sessions/run-1/batches/1-7/2.jpg", headers={"If-None-Match": response.headers["ETag"]}
    )

    assert await response.read() == images[2][0]
    assert response.content_type == "image/jpeg"
    assert "immutable" in response.headers["Cache-Control"]
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert (again.status, await again.read()) == (304, b"")


async def test_an_image_that_is_not_there_is_not_found(open_client, stored):
    """Never kept, never sent, or gone with its shard: 404."""
    client = await open_client()
    running(client.deps)
    stored.add("run-1", 1, 7, pictures(1))

    for path in ("1-7/1.jpg", "1-8/0.jpg", f"1-7/{'9' * 30}.jpg", f"{'9' * 12}-7/0.jpg"):
        response = await client.get(f"/sessions/run-1/batches/{path}")

        assert response.status == 404


async def test_the_latest_image_is_asked_for_again(open_client, stored):
    """A panel that shows a slot gets the newest batch's image, or a placeholder."""
    client = await open_client()
    running(client.deps)
    empty = await client.get("/sessions/run-1/latest/0.jpg")
    older, newer = pictures(2)
    stored.add("run-1", 2, 0, [newer], received_ms=NOON_MS + 1000)
    stored.add("run-1", 1, 7, [older], received_ms=NOON_MS)

    response = await client.get("/sessions/run-1/latest/0.jpg")

    assert (empty.status, empty.content_type) == (200, "image/jpeg")
    assert await response.read() == newer[0]
    assert response.headers["Cache-Control"] == "no-cache"


async def test_a_contact_sheet_shows_one_batch(open_client, stored):
    """The batch meant is drawn as one JPEG; where there is none, a placeholder with status 200."""
    client = await open_client()
    running(client.deps)
    empty = await client.get("/sessions/run-1/sheet.jpg?at=${__to}")
    nobody = await client.get("/sessions/nobody/sheet.jpg")
    stored.add("run-1", 1, 7, [*pictures(5), (b"torn", 1, 0.5, 1)])

    response = await client.get("/sessions/run-1/sheet.jpg?prefer=max_loss")

    assert (empty.status, nobody.status, response.status) == (200, 200, 200)
    assert await empty.read() == await nobody.read()
    body = await response.read()
    assert body.startswith(b"\xff\xd8\xff")
    assert body != await empty.read()


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


def test_a_contact_sheet_says_no_confidence_that_was_not_reported():
    """The label of a tile shows what is known."""
    location = ImageLocation("1.tar", stored=True, offset=0, length=1)

    assert label_of(IndexedImage(0, 1, None, 0, location), ("cat", "dog"))[1] == "x dog, is cat"
    assert label_of(IndexedImage(0, 1, None, 1, location), ("cat", "dog"))[1] == "dog"
    assert label_of(IndexedImage(0, 1, 0.75, 1, location), ("cat", "dog"))[1] == "dog 75%"
