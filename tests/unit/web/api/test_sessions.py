"""Sessions and images as JSON."""

import json
import math

from support.pages import FakeArchive, pictures, running

from bridge.model import Batch, Client, Config, Epoch, Scalars
from bridge.session import Session

IMAGES = "/api/v1/sessions/run-1/images"


def strict(text):
    """Parse JSON strictly: NaN and Infinity are errors."""
    return json.loads(text, parse_constant=lambda name: 1 / 0)


async def test_sessions_are_listed_page_by_page(open_client):
    """Following `next` reaches every session once, in memory or archived."""
    archived = {f"old-{i}": Session(f"old-{i}", Client(), Config(), now=float(i)) for i in range(3)}
    client = await open_client(archive=FakeArchive(archived))
    for number in range(4):
        running(client.deps, f"run-{number}")

    found, address = [], "/api/v1/sessions?limit=3"
    while address:
        response = await client.get(address)
        page = await response.json()
        found += [one["session_id"] for one in page["sessions"]]
        address = page["next"] and page["next"].removeprefix(str(client.make_url("/")).rstrip("/"))

    assert sorted(found) == [*sorted(archived), *(f"run-{number}" for number in range(4))]


async def test_a_session_tells_everything(open_client):
    """Configuration, epochs, curve and scalars are there; numbers that JSON cannot hold are strings."""
    client = await open_client(public_url="https://bridge.example/trainbridge/")
    run = running(client.deps)
    run.apply(Batch(1, 5, math.nan), run.registered_at)
    run.apply(Epoch(1, 0.4, 0.9, validation_loss=math.inf), 2.0)
    run.apply(Scalars(1, 1, {"low": -math.inf}), 2.0)

    session = strict(await (await client.get("/api/v1/sessions/run-1")).text())

    assert session["loss"] == "NaN"
    assert session["epochs"][0]["validation_loss"] == "Infinity"
    assert session["scalars"] == {"low": "-Infinity"}
    assert session["losses"][-1]["nonfinite"] == 1
    assert session["losses"][-1]["high"] is None
    assert session["class_names"] == ["cat", "dog"]
    assert session["url"] == "https://bridge.example/trainbridge/sessions/run-1"
    assert session["connected"] is True


async def test_where_a_loop_is_has_an_epoch_and_a_batch(open_client):
    """Both or neither, also where a client that came from another bridge has said no more than that."""
    client = await open_client()
    place = running(client.deps, "place", batches=0)
    place.apply(Scalars(3, 7, {}), place.registered_at)
    nowhere = running(client.deps, "nowhere", batches=0)
    nowhere.apply(Scalars(0, 0, {"loss": 1.0}), nowhere.registered_at)

    found = [
        await (await client.get(f"/api/v1/sessions/{name}")).json() for name in ("place", "nowhere")
    ]

    assert [(one["epoch"], one["batch"]) for one in found] == [(3, 7), (None, None)]


async def test_a_session_without_a_batch_has_no_loss(open_client):
    """What is unknown is null, unlike a loss of NaN."""
    client = await open_client()
    running(client.deps, batches=0)

    session = await (await client.get("/api/v1/sessions/run-1")).json()

    assert session["loss"] is None
    assert session["frames_per_second"] is None


async def test_images_are_listed_with_what_is_known_of_them(open_client, stored):
    """The URL of every image returns its bytes."""
    client = await open_client()
    running(client.deps)
    for batch in (1, 4, 6):
        stored.add("run-1", 1, batch, pictures(2), loss=None if batch == 4 else 0.5)

    first = strict(await (await client.get("/api/v1/sessions/run-1/images?limit=2")).text())
    second = await (await client.session.get(first["next"])).json()

    assert [one["batch"] for one in first["batches"]] == [1, 4]
    assert [one["batch"] for one in second["batches"]] == [6]
    assert second["next"] is None
    assert first["batches"][1]["loss"] == "NaN"
    image = first["batches"][0]["images"][1]
    assert image | {"url": ""} == {
        "epoch": 1,
        "batch": 1,
        "received_ms": first["batches"][0]["received_ms"],
        "loss": 0.5,
        "batch_url": first["batches"][0]["url"],
        "position": 1,
        "url": "",
        "predicted_class": 1,
        "predicted_label": "dog",
        "confidence": 0.75,
        "true_class": 0,
        "true_label": "cat",
        "is_wrong": True,
        "in_store": False,
        "is_lost": False,
    }
    async with client.session.get(image["url"]) as response:
        assert await response.read() == pictures(2)[1][0]


async def test_images_of_a_time_are_listed_from_the_newest_back(open_client, stored):
    """No page repeats or leaves out a batch, also of several that came at the same millisecond."""
    client = await open_client()
    running(client.deps)
    for batch, at in ((1, 1000), (2, 2000), (3, 2000), (4, 3000), (5, 9000)):
        stored.add("run-1", 1, batch, pictures(1), received_ms=at)

    pages = [await (await client.get(f"{IMAGES}?from=1000&to=3000&limit=2")).json()]
    while pages[-1]["next"]:
        pages.append(await (await client.session.get(pages[-1]["next"])).json())

    assert [[one["batch"] for one in page["batches"]] for page in pages] == [[4], [3, 2], [1]]


async def test_bounds_are_kept_and_named(open_client):
    """A limit or a start out of bounds is refused by the parameter's name."""
    client = await open_client()
    running(client.deps)
    wrong = {
        "/api/v1/sessions?limit=0": "limit",
        "/api/v1/sessions?limit=501": "limit",
        "/api/v1/sessions?offset=-1": "offset",
        "/api/v1/sessions/run-1/images?limit=x": "limit",
        "/api/v1/sessions/run-1/images?after=3": "after",
        "/api/v1/sessions/run-1/images?after=3-1&from=1": "after",
        "/api/v1/sessions/run-1/images?from=yesterday": "from",
    }

    for address, name in wrong.items():
        response = await client.get(address)

        assert response.status == 400
        assert name in (await response.json(content_type=None))["detail"]
