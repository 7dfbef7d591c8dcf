"""JPEGs and how they are cached."""

import asyncio
import threading

import pytest
from support.pages import NOON_MS, pictures, running
from support.waiting import until

from bridge.errors import NotFoundError, StorageError


async def test_a_jpeg_is_served_byte_for_byte_and_cached_forever(open_client, stored):
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


async def test_an_image_that_is_not_kept_is_not_found(open_client, stored):
    """Never kept, never sent, or gone with its shard: 404."""
    client = await open_client()
    running(client.deps)
    stored.add("run-1", 1, 7, pictures(1))

    for path in ("1-7/1.jpg", "1-8/0.jpg", f"1-7/{'9' * 30}.jpg", f"{'9' * 12}-7/0.jpg"):
        response = await client.get(f"/sessions/run-1/batches/{path}")

        assert response.status == 404


async def test_the_latest_image_is_revalidated(open_client, stored):
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


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [(StorageError("refused"), 503, "does not answer"), (NotFoundError("gone"), 404, "any longer")],
)
async def test_an_image_that_cannot_be_read_says_so_in_its_place(
    open_client, stored, error, status, words
):
    """A page shows words where the picture would be, never a broken one; a program gets the error."""

    def fail(_location):
        raise error

    client = await open_client(read_image=fail)
    running(client.deps)
    stored.add("run-1", 1, 7, pictures(1))
    address = "/sessions/run-1/batches/1-7/0.jpg"

    picture = await client.get(address, headers={"Sec-Fetch-Dest": "image"})
    older = await client.get(address, headers={"Accept": "image/avif,image/webp,*/*;q=0.8"})
    program = await client.get(address)

    for response in (picture, older):
        text = await response.text()
        assert (response.status, response.content_type) == (status, "image/svg+xml")
        assert response.headers["Cache-Control"] == "no-store"
        assert words in text
        assert "style" not in text
    assert (program.status, program.content_type) == (status, "text/html")


async def test_what_is_in_the_spool_is_shown_while_the_store_hangs(open_client, stored):
    """Images that are not in the store yet do not wait behind those that are."""
    released = threading.Event()

    def read(location):
        if location.stored:
            released.wait(60)
        return stored.read(location)

    client = await open_client(read_image=read)
    running(client.deps)
    stored.add("run-1", 1, 0, pictures(1))
    with stored.database.transaction() as transaction:
        transaction.execute("UPDATE shards SET stored = 1")
    stored.add("run-1", 1, 1, pictures(1))
    hanging = [
        asyncio.ensure_future(client.get("/sessions/run-1/batches/1-0/0.jpg")) for _ in range(20)
    ]
    try:
        await until(lambda: sum(t.name == "reading images" for t in threading.enumerate()) >= 8)
        response = await client.get("/sessions/run-1/batches/1-1/0.jpg")
    finally:
        released.set()
        await asyncio.gather(*hanging)

    assert response.status == 200
