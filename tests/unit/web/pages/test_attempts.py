"""A run of several attempts: one page, a page for each attempt, and links that stay right."""

import re

import pytest
from support.attempts import three_attempts
from support.jpegs import jpeg
from support.pages import NOON_MS, FakeArchive

from bridge.model import Level, Occurrence, Scalars

RUN = "/sessions/run-1"


def picture(shade):
    """Return a batch of one image."""
    return [(jpeg(16, 16, shade), 1, 0.75, 1)]


@pytest.fixture
async def client(open_client, stored):
    """Return a client of a bridge with a run of three attempts, and images of the first two."""
    *former, newest = three_attempts()
    stored.add("run-1", 0, 5, picture(10), attempt=1, received_ms=NOON_MS + 1_000_000)
    stored.add("run-1", 2, 5, picture(20), attempt=1, received_ms=NOON_MS + 2_000_000)
    stored.add("run-1", 2, 5, picture(30), attempt=2, received_ms=NOON_MS + 3_000_000)
    stored.add("run-1", 3, 6, picture(40), attempt=2, received_ms=NOON_MS + 4_000_000, loss=9.0)
    return await open_client(archive=FakeArchive({"run-1": newest}, former))


async def text_of(client, address, *, status=200):
    """Return the text of a page."""
    response = await client.get(address)
    assert response.status == status
    return await response.text()


async def place_of(client, address):
    """Return where a link leads to."""
    response = await client.get(address, allow_redirects=False)
    assert response.status == 302
    return re.sub(r"^(\.\./|\./)*", "/", response.headers["Location"])


async def test_the_page_shows_the_run_stitched(client):
    """All epochs once, the marks of attempts in the curve, and a list that leads to each."""
    text = await text_of(client, RUN)

    assert "Attempt 3; the curves, epochs and events below are of all attempts." in text
    assert ">attempt 2</text>" in text
    assert "done again by a later attempt" in text
    assert re.findall(r"go/images\?session=run-1&amp;epoch=(\d)", text) == list("43210")
    for number, state in ((1, "lost"), (2, "failed")):
        assert f'href="../sessions/run-1/attempts/{number}"' in text
        assert f'is-{state}">{state}</span>' in text


async def test_what_was_logged_by_name_is_of_all_attempts(open_client):
    """The newest attempt has logged nothing yet; the page of one attempt has its own numbers and events only."""
    *former, newest = three_attempts()
    former[0].apply(Scalars(2, 9, {"norm": 1.0}), former[0].updated_at)
    former[0].apply(Occurrence("rate drop", "", Level.INFO, {}, 2, 9, None), former[0].updated_at)
    client = await open_client(archive=FakeArchive({"run-1": newest}, former))

    text = re.sub(r"\s+", " ", await text_of(client, RUN))
    alone = await text_of(client, f"{RUN}/attempts/3")

    assert "<h3>norm</h3>" in text
    assert "rate drop" in text
    assert "<h3>norm</h3>" not in alone
    assert "rate drop" not in alone
    assert "api/v1/sessions/run-1?attempt=3" in alone


async def test_each_attempt_has_a_page_of_its_own(client):
    """Its curve and images alone, without the buttons of a run that goes on."""
    text = await text_of(client, f"{RUN}/attempts/1")

    assert "run-1: attempt 1</h1>" in text
    assert "One of 3 attempts, by itself." in text
    assert re.findall(r"go/images\?session=run-1&amp;epoch=(\d)", text) == list("210")
    assert "sessions/run-1/attempts/1/batches/2-5" in text
    assert "attempts/2/batches" not in text
    assert "<h2>Commands</h2>" not in text
    assert 'is-lost">lost</span>' in text
    assert "<dt>Duration</dt><dd>30 s</dd>" in text


@pytest.mark.parametrize("number", ["4", "0", "99999999999"])
async def test_an_attempt_that_is_not_there_is_not_found(client, number):
    """The page says which there are."""
    text = await text_of(client, f"{RUN}/attempts/{number}", status=404)

    assert "attempt" in text.casefold()


async def test_a_batch_is_of_the_newest_attempt_that_has_it(client):
    """It says so, and leads to the same batch of the others."""
    text = await text_of(client, f"{RUN}/batches/2-5")

    assert "This batch is of attempt 2." in text
    assert 'attempts/1/batches/2-5">attempt 1</a> (1 image)' in text
    assert "attempts/2/batches/2-5/0.jpg?v=" in text

    assert "attempt 3" in await text_of(client, f"{RUN}/batches/3-6")
    assert "attempts/1" in await text_of(client, f"{RUN}/batches/0-5")


async def test_a_batch_of_a_certain_attempt(client):
    """Its neighbours are of the same attempt."""
    text = await text_of(client, f"{RUN}/attempts/1/batches/2-5")

    assert "This batch is of attempt 1." in text
    assert 'rel="prev" href="../../../../../sessions/run-1/attempts/1/batches/0-5"' in text
    assert 'rel="next"' not in text
    missing = await text_of(client, f"{RUN}/attempts/1/batches/4-5", status=404)
    assert "The batches of attempt 1 go from" in missing


async def test_images_answer_for_every_attempt(client):
    """Without an attempt it is that of the newest which has the image."""
    shades = {
        f"{RUN}/attempts/1/batches/2-5/0.jpg": 20,
        f"{RUN}/attempts/2/batches/2-5/0.jpg": 30,
        f"{RUN}/batches/2-5/0.jpg": 30,
        f"{RUN}/batches/0-5/0.jpg": 10,
        f"{RUN}/latest/0.jpg": 40,
        f"{RUN}/latest/0.jpg?attempt=1": 20,
    }
    for address, shade in shades.items():
        response = await client.get(address)
        assert await response.read() == jpeg(16, 16, shade), address
    assert (await client.get(f"{RUN}/attempts/3/batches/2-5/0.jpg")).status == 404


async def test_an_old_link_to_an_image_keeps_its_image(client):
    """It was given out before a later attempt came to the same batch; its version says which image it means."""
    page = await text_of(client, f"{RUN}/attempts/1/batches/2-5")
    [link] = set(re.findall(r"sessions/run-1/batches/2-5/0\.jpg\?v=\w+", page))

    response = await client.get(f"/{link}")

    assert await response.read() == jpeg(16, 16, 20)


async def test_links_from_dashboards_find_the_attempt(client):
    """By time the batch is of whichever attempt ran then; with an attempt, only of that one."""
    go = "/go/images?session=run-1"

    assert (await place_of(client, f"{go}&at={NOON_MS + 2_000_000}")).startswith(
        f"{RUN}/attempts/1/batches/2-5"
    )
    assert (await place_of(client, f"{go}&at={NOON_MS + 3_000_000}")).startswith(
        f"{RUN}/attempts/2/batches/2-5"
    )
    assert await place_of(client, f"{go}&attempt=1&prefer=newest") == (
        f"{RUN}/attempts/1/batches/2-5?prefer=newest"
    )
    assert await place_of(client, f"{go}&batch=2-5&attempt=1") == f"{RUN}/attempts/1/batches/2-5"
    assert await place_of(client, f"{go}&batch=2-5") == f"{RUN}/batches/2-5"
    assert await place_of(client, f"{go}&attempt=3") == f"{RUN}/attempts/3?note=no-images"
    assert "ignored=attempt" in await place_of(client, f"{go}&attempt=x")


async def test_the_api_has_every_attempt(client):
    """The run with its attempts, each by itself, and which attempt everything is of."""
    run = await (await client.get(f"/api/v1{RUN}")).json()

    assert run["attempt"] == 3
    assert [(one["attempt"], one["state"]) for one in run["attempts"]][:2] == [
        (1, "lost"),
        (2, "failed"),
    ]
    assert run["attempts"][0]["goodput_ratio"] > 0.9 > run["goodput_ratio"] > 0
    assert (run["attempts"][1]["first"], run["attempts"][1]["last"]) == ("2-0", "3-9")
    assert [epoch["number"] for epoch in run["epochs"]] == [0, 1, 2, 3, 4]
    assert [one["attempt"] for one in run["losses"][::10]] == [1, 1, 2, 3, 3]

    first = await (await client.get(f"/api/v1{RUN}?attempt=1")).json()
    assert first["attempt"] == 1
    assert [epoch["number"] for epoch in first["epochs"]] == [0, 1, 2]
    assert [one["attempt"] for one in first["attempts"]] == [1]
    assert first["url"].endswith(f"{RUN}/attempts/1")


async def test_images_in_the_api_are_of_an_attempt(client):
    """The newest that has each batch, or those of the one that is asked for, page by page."""
    found = await (await client.get(f"/api/v1{RUN}/images")).json()
    assert [(one["epoch"], one["batch"], one["attempt"]) for one in found["batches"]] == [
        (0, 5, 1),
        (2, 5, 2),
        (3, 6, 2),
    ]

    page = await (await client.get(f"/api/v1{RUN}/images?attempt=1&limit=1")).json()
    assert page["batches"][0]["url"].endswith(f"{RUN}/attempts/1/batches/0-5")
    assert page["next"].endswith(f"{RUN}/images?limit=1&after=0-5&attempt=1")

    batch = await (await client.get(f"/api/v1{RUN}/batches/2-5?attempt=1")).json()
    assert (batch["attempt"], batch["also_in"]) == (1, [2])
    assert batch["previous_with_images"].endswith(f"{RUN}/batches/0-5?attempt=1")
    assert (await client.get(f"/api/v1{RUN}/batches/2-5?attempt=x")).status == 400


async def test_a_contact_sheet_is_of_an_attempt(client):
    """A panel can show the images of one attempt alone."""
    sheets = [
        await (await client.get(f"{RUN}/sheet.jpg?attempt={number}&prefer=newest")).read()
        for number in (1, 2)
    ]

    assert sheets[0] != sheets[1]
