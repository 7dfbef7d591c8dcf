"""JPEGs and how they are cached."""

from support.pages import NOON_MS, pictures, running


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
