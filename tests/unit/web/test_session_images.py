"""Every image link answers where the store has the images, and costs the store nothing where this bridge has them."""

import re

import pytest
from support.elsewhere import elsewhere_in
from support.images import NOON_MS
from support.pages import FakeArchive, pictures, running
from support.shards import put_batch

from bridge.errors import StorageError
from bridge.lifecycle import Disconnected
from bridge.model import Client, Config
from bridge.sequences import extended
from bridge.session import Session
from bridge.web.pages.images import NO_IMAGE

LINKS = (
    "/sessions/{}",
    "/sessions/{}/attempts/1",
    "/sessions/{}/batches/1-2",
    "/sessions/{}/attempts/1/batches/1-2",
    "/sessions/{}/batches/1-2/0.jpg",
    "/sessions/{}/attempts/1/batches/1-2/1.jpg",
    "/sessions/{}/latest/0.jpg",
    "/go/images?session={}",
    "/go/images?session={}&at=1700000000000&window_ms=5000&prefer=max_loss",
    "/go/images?session={}&epoch=1&batch=2",
    "/go/images?session={}&actual=dog&predicted=dog",
    "/api/v1/sessions/{}/images",
    "/api/v1/sessions/{}/batches/1-2",
)

IMAGE = {"Accept": "image/avif,image/webp,*/*"}


@pytest.fixture
async def elsewhere(tmp_path):
    """Return a store that other bridges write to."""
    async with elsewhere_in(tmp_path) as elsewhere:
        yield elsewhere


@pytest.fixture
async def client(open_client, stored, elsewhere):
    """Return a client of a bridge that sees the store, and knows a Grafana."""

    def read(location):
        return (elsewhere.reader.read if "/" in location.key else stored.read)(location)

    return await open_client(
        stored_sessions=elsewhere.index,
        read_image=read,
        archive=FakeArchive(),
        grafana_url="http://grafana.example",
    )


async def text_of(client, path):
    """Return a page as words, and check that it is there."""
    response = await client.get(path)
    assert response.status == 200
    return " ".join(re.sub(r"<[^>]+>", " ", await response.text()).split())


@pytest.mark.parametrize("link", LINKS)
async def test_links_to_a_session_that_only_the_store_has_answer(client, elsewhere, link):
    """No row of it, no database that has ever had one."""
    put_batch(elsewhere.store, 1, 2, session_id="theirs")
    response = await client.get(link.format("theirs"))
    assert response.status == 200
    assert (await response.read())[:2] == (b"\xff\xd8" if link.endswith("jpg") else b"<!"[:2]) or (
        "/api/" in link
    )


@pytest.mark.parametrize("link", LINKS)
async def test_links_to_what_nobody_has_are_not_found(client, elsewhere, link):
    """As before, and once for many links; what cannot be a name is not asked for at all."""
    for _ in range(2):
        assert (await client.get(link.format("nobodys"))).status == 404
    assert elsewhere.asked("list") == 1
    assert (await client.get(link.format("no%20name"))).status == 404
    assert (await client.get(link.format(".hidden"))).status == 404
    assert elsewhere.asked("list") == 1


@pytest.mark.parametrize("link", LINKS)
async def test_while_the_store_is_down_nothing_is_called_missing(client, elsewhere, link):
    """503 with what to do and when to try again: the images may well be there."""
    elsewhere.store.fault = StorageError("connection to 10.1.2.3 refused")
    response = await client.get(link.format("theirs"))
    body = await response.text()
    assert response.status == 503
    assert response.headers["Retry-After"]
    assert "10.1.2.3" not in body
    assert "try again in a moment" in body


async def test_a_contact_sheet_is_a_picture_whatever_happens(client, elsewhere):
    """Panels of a dashboard show a placeholder instead of a broken image."""
    put_batch(elsewhere.store, 1, 2, session_id="theirs")
    sheet = await client.get("/sessions/theirs/sheet.jpg?epoch=1&batch=2")
    assert sheet.status == 200
    assert await sheet.read() != NO_IMAGE
    elsewhere.store.fault = StorageError("connection refused")
    for name in ("others", "theirs"):
        sheet = await client.get(f"/sessions/{name}/sheet.jpg")
        assert (sheet.status, await sheet.read()) == (200, NO_IMAGE)


async def test_made_up_names_are_refused_beyond_a_rate(client, elsewhere):
    """Whoever tries names at random is slowed down; the store sees no more than so many listings."""
    answers = [(await client.get(f"/sessions/{number}")).status for number in range(60)]
    assert set(answers[:50]) == {404}
    assert answers[-1] == 429
    assert elsewhere.asked("list") <= 55


async def test_the_page_says_what_is_known_and_what_is_not(client, elsewhere):
    """Images by epoch and attempt, from the store; no number that nobody has reported here."""
    put_batch(elsewhere.store, 1, 2, session_id="theirs", loss=0.75)
    put_batch(elsewhere.store, 2, 1, session_id="theirs", at=30, number=2, attempt=2)
    page = await text_of(client, "/sessions/theirs")
    assert "This bridge has no numbers of this session" in page
    assert "Batches with images 2" in page
    assert "Images 4" in page
    assert "attempt 2" in page
    assert "not reported" not in page
    alone = await text_of(client, "/sessions/theirs/attempts/1")
    assert "theirs: attempt 1" in alone
    assert "Images 2" in alone
    assert (await client.get("/sessions/theirs/attempts/3")).status == 404


async def test_the_page_leads_to_the_curves(client, elsewhere):
    """Where a Grafana is known: to the minutes around the newest images, since nothing else is known of its time."""
    put_batch(elsewhere.store, 1, 2, session_id="theirs")
    response = await client.get("/sessions/theirs")
    assert response.status == 200
    link = f"http://grafana.example/d/trainbridge-session?var-session=theirs&amp;from={NOON_MS - 300_000}"
    assert link in await response.text()


async def test_a_batch_shows_the_labels_of_its_shard(client, elsewhere):
    """The names of the classes were reported to another bridge: the images name them."""
    put_batch(elsewhere.store, 1, 2, session_id="theirs", loss=0.75)
    page = await text_of(client, "/sessions/theirs/batches/1-2")
    assert "truth dog" in page
    assert "Loss 0.75" in page
    assert "This bridge has only the images of this session" in page
    answer = await (await client.get("/api/v1/sessions/theirs/batches/1-2")).json()
    assert [image["true_label"] for image in answer["images"]] == ["dog", 'a "bird"']


async def test_a_session_at_home_costs_the_store_nothing(client, elsewhere, stored):
    """While it is connected here from its beginning, no page of it waits for a store."""
    running(client.deps)
    stored.add("run-1", 1, 2, pictures())
    elsewhere.store.fault = StorageError("connection refused")
    for link in LINKS:
        assert (await client.get(link.format("run-1"))).status == 200
    assert elsewhere.store.requests == []


async def test_an_image_that_is_not_here_is_looked_for_in_the_store(client, elsewhere, stored):
    """Even of a session at home: whoever links to it has seen it somewhere."""
    running(client.deps)
    stored.add("run-1", 1, 2, pictures())
    put_batch(elsewhere.store, 1, 9, session_id="run-1")
    response = await client.get("/sessions/run-1/batches/1-9/0.jpg")
    assert response.status == 200
    assert elsewhere.asked("list") == 1


async def test_a_session_that_left_shows_what_came_elsewhere(client, elsewhere, stored):
    """Its client was disconnected: another bridge may have the newer images, and this one has its own."""
    session = running(client.deps)
    session.apply(Disconnected(), session.registered_at)
    stored.add("run-1", 1, 2, pictures())
    put_batch(elsewhere.store, 1, 7, session_id="run-1", at=60)
    answer = await (await client.get("/api/v1/sessions/run-1/images")).json()
    assert [one["batch"] for one in answer["batches"]] == [2, 7]
    link = f"/go/images?session=run-1&at={NOON_MS + 61_000}&window_ms=5000"
    response = await client.get(link, allow_redirects=False)
    assert "/batches/1-7" in response.headers["Location"]
    assert "batch 7" in await text_of(client, "/sessions/run-1")


async def test_own_images_are_shown_while_the_store_is_down(client, elsewhere, stored):
    """The page says that others may be missing; what it cannot know is not called missing."""
    session = running(client.deps)
    session.apply(Disconnected(), session.registered_at)
    stored.add("run-1", 1, 2, pictures())
    elsewhere.store.fault = StorageError("connection refused")
    for path in ("/sessions/run-1", "/sessions/run-1/batches/1-2"):
        assert "images that other bridges have received are missing here" in await text_of(
            client, path
        )
    assert (await client.get("/sessions/run-1/batches/1-2/0.jpg")).status == 200
    assert (await client.get("/sessions/run-1/batches/1-9/0.jpg")).status == 503


async def test_a_session_that_began_elsewhere_is_asked_for(client, elsewhere, stored):
    """Its first batches went to another bridge, and so did their images."""
    session = running(client.deps)
    session.skipped = extended((), 1, 40)
    stored.add("run-1", 2, 0, pictures())
    put_batch(elsewhere.store, 1, 7, session_id="run-1", at=-60)
    answer = await (await client.get("/api/v1/sessions/run-1/images")).json()
    assert [(one["epoch"], one["batch"]) for one in answer["batches"]] == [(1, 7), (2, 0)]


async def test_an_attempt_that_another_bridge_has_is_linked_and_shown(client, elsewhere, stored):
    """A process came back to another bridge: this one has the first attempt, the store the images of the second."""
    session = running(client.deps)
    session.apply(Disconnected(), session.registered_at)
    stored.add("run-1", 1, 2, pictures())
    put_batch(elsewhere.store, 1, 2, session_id="run-1", at=60, attempt=2)
    assert "Attempt 2 is at another bridge" in await text_of(client, "/sessions/run-1")
    assert "run-1: attempt 2" in await text_of(client, "/sessions/run-1/attempts/2")
    response = await client.get("/go/images?session=run-1", allow_redirects=False)
    assert response.headers["Location"] == "../sessions/run-1/attempts/2/batches/1-2"
    assert "attempt 2" in await text_of(client, "/sessions/run-1/attempts/2/batches/1-2")
    assert "Also in attempt 1" in await text_of(client, "/sessions/run-1/batches/1-2")
    for attempt in (1, 2):
        link = f"/sessions/run-1/attempts/{attempt}/batches/1-2/0.jpg"
        assert (await client.get(link)).status == 200
    assert (await client.get("/sessions/run-1/attempts/3/batches/1-2")).status == 404


async def test_an_archived_session_that_completed_here_is_at_home(client, elsewhere):
    """Nothing came after it: its page is shown without the store."""
    session = Session("done", Client(), Config(), now=NOON_MS / 1000)
    session.status = session.status.COMPLETED
    client.deps.archive.kept["done"] = session
    assert (await client.get("/sessions/done")).status == 200
    assert elsewhere.store.requests == []


async def test_what_is_on_its_way_is_announced(client, elsewhere, monkeypatch):
    """A link to a moment ago may mean images that another bridge has not uploaded yet: the page says so."""
    put_batch(elsewhere.store, 1, 2, session_id="theirs")
    monkeypatch.setattr("bridge.web.attempts.asked.time.time", lambda: NOON_MS / 1000 + 40)
    near = f"/sessions/theirs/batches/1-2?at={NOON_MS + 20_000}&window_ms=5000"
    before = f"/sessions/theirs/batches/1-2?at={NOON_MS}&window_ms=5000"
    assert "shown once it has uploaded them" in await text_of(client, near)
    assert "shown once it has uploaded them" not in await text_of(client, before)
    assert "shown once it has uploaded them" not in await text_of(
        client, "/sessions/theirs/batches/1-2"
    )


async def test_an_image_of_a_page_says_in_a_picture_that_the_store_is_down(client, elsewhere):
    """A browser cannot show a sentence in place of an image."""
    put_batch(elsewhere.store, 1, 2, session_id="theirs")
    assert (await client.get("/sessions/theirs/batches/1-2")).status == 200
    elsewhere.store.fault = StorageError("connection refused")
    response = await client.get("/sessions/theirs/batches/1-2/0.jpg", headers=IMAGE)
    assert (response.status, response.content_type) == (503, "image/svg+xml")
