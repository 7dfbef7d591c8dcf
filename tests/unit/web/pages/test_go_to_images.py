"""Links from dashboards find the batch they mean."""

import pytest
from support.pages import NOON_MS, pictures, running

from bridge.web.ignored_params import EXPECTED
from bridge.web.pages.image_selection import PARAMETERS, read_selection

SECOND = 1000

BATCHES = (  # epoch, batch, seconds after noon, loss
    (1, 0, 0, 0.9),
    (1, 5, 10, 0.5),
    (1, 9, 12, 4.0),
    (1, 12, 15, 0.4),
    (2, 3, 60, None),
    (2, 8, 70, 0.3),
)


@pytest.fixture
async def client(open_client, stored):
    """Return a client of a bridge with a session of six kept batches."""
    client = await open_client()
    running(client.deps)
    for epoch, batch, seconds, loss in BATCHES:
        wrong = pictures(2) if batch != 8 else pictures(1)
        stored.add("run-1", epoch, batch, wrong, loss=loss, received_ms=NOON_MS + seconds * SECOND)
    return client


def at(seconds):
    """Return the parameter of a time."""
    return f"at={NOON_MS + seconds * SECOND}"


@pytest.mark.parametrize(
    ("query", "batch"),
    [
        (f"{at(15)}&window_ms=5000", "1-9"),
        (f"{at(15)}&window_ms=5000&prefer=max_loss", "1-9"),
        (f"{at(15)}&window_ms=5000&prefer=newest", "1-12"),
        (f"{at(15)}&window_ms=3000&prefer=max_loss", "1-12"),
        (f"{at(15)}&window_ms=3000&held_ms=2000", "1-9"),
        (f"{at(40)}&window_ms=5000", "1-12"),
        (f"{at(-5)}&window_ms=5000", "1-0"),
        (f"{at(70)}&window_ms=20000", "2-3"),
        (f"{at(15)}.5&window_ms=5000.7", "1-9"),
        (f"at={NOON_MS // 1000 + 15}&window_ms=5000", "1-9"),
        ("epoch=1&batch=5", "1-5"),
        ("batch=1-5", "1-5"),
        ("epoch=1&batch=6", "1-6"),
        ("epoch=1", "1-9"),
        ("epoch=1&prefer=newest", "1-12"),
        ("prefer=max_loss", "2-3"),
        ("prefer=newest", "2-8"),
        ("", "2-8"),
        ("actual=0&predicted=1", "2-3"),
        ("actual=cat&predicted=dog", "2-3"),
        ("actual=1&predicted=1", "2-8"),
        (f"actual=0&predicted=1&from={NOON_MS}&to={NOON_MS + 12 * SECOND}", "1-9"),
        (f"from={NOON_MS}&to={NOON_MS + 15 * SECOND}", "1-9"),
        (f"from={NOON_MS + 65 * SECOND}", "2-8"),
    ],
)
async def test_the_batch_meant(client, query, batch):
    """A time, a batch, an epoch or a cell of the matrix leads to its batch."""
    response = await client.get(f"/go/images?session=run-1&{query}", allow_redirects=False)

    location = response.headers["Location"]
    assert response.status == 302
    assert location.partition("?")[0] == f"../sessions/run-1/batches/{batch}"
    assert "ignored" not in location
    page = await client.get(f"/go/images?session=run-1&{query}")
    assert page.status == 200


@pytest.mark.parametrize(
    ("query", "ignored"),
    [
        ("at=${__value.time}", "at"),
        ("at=&window_ms=", "at,window_ms"),
        ("batch=5", "batch"),
        ("predicted=1", "predicted"),
        ("window_ms=5000", "window_ms"),
        ("held_ms=5000", "held_ms"),
        ("at=soon", "at"),
        ("at=nan&window_ms=-1", "at,window_ms"),
        ("prefer=best&epoch=x", "prefer,epoch"),
        ("phase=train", "phase"),
        ("actual=lion&predicted=dog", "actual,predicted"),
        ("at=1e999&batch=99999999999999", "at,batch"),
        ("%3Cb%3E=1&epoch=", "epoch"),
    ],
)
async def test_unusable_parameters_are_ignored_and_named(client, query, ignored):
    """A parameter that Grafana left empty does no harm; the page says which it was, and what to give."""
    response = await client.get(f"/go/images?session=run-1&{query}")

    text = await response.text()
    assert response.status == 200
    for name in ignored.split(","):
        assert f"<b>{name}</b> ({EXPECTED.get(name, 'unknown')})" in text


def test_every_parameter_has_a_meaning_to_show():
    """But the session, without which there is no page to show it on."""
    assert {"session", *EXPECTED} == set(PARAMETERS)


async def test_the_page_says_how_far_from_the_requested_time_it_is(client):
    """The page of the batch says how long before the requested time it came."""
    page = await client.get(f"/go/images?session=run-1&{at(15)}&window_ms=5000")
    after = await client.get(f"/go/images?session=run-1&{at(-5)}")

    assert "3.0 s before the requested time" in await page.text()
    assert "the nearest, 5.0 s after it" in await after.text()


async def test_the_page_says_when_images_are_outside_of_the_time_asked_for(client):
    """An older batch, or a mistake from outside of the time range, never looks like what was asked for."""
    older = await client.get(f"/go/images?session=run-1&{at(40)}&window_ms=5000")
    cell = f"actual=0&predicted=1&from={NOON_MS - 9000}&to={NOON_MS - 5000}"
    mistake = await client.get(f"/go/images?session=run-1&{cell}")
    inside = await client.get("/go/images?session=run-1&actual=0&predicted=1")

    assert "No images were kept in the 5.0 s before the requested time." in await older.text()
    assert "the nearest, 25 s before it" in await older.text()
    assert "in the requested time range" in await mistake.text()
    assert "requested time" not in await inside.text()


async def test_a_session_without_images_shows_itself(open_client):
    """There is always a page to land on."""
    client = await open_client()
    running(client.deps)

    response = await client.get("/go/images?session=run-1&at=1")

    assert response.status == 200
    assert response.url.path == "/sessions/run-1"
    assert "No images of this session are kept" in await response.text()


@pytest.mark.parametrize(
    "query", ["", "session=", "session=${session}", "session=nobody", "session=%3Cb%3E"]
)
async def test_no_session_no_images(client, query):
    """Without a known session there is nothing to show, and a sentence says so."""
    response = await client.get(f"/go/images?{query}", allow_redirects=False)

    assert response.status == 404
    assert "session" in await response.text()


@pytest.mark.parametrize(
    ("text", "names", "number"),
    [
        ("1", ("1", "2", "0"), 1),
        ("0", ("1", "2", "0"), 0),
        ("dog", ("cat", "dog"), 1),
        ("2019", ("2018", "2019"), 1),
        ("7", ("a", "b"), 7),
        ("cat", ("cat", "dog", "cat"), None),
        ("bird", ("cat",), None),
        ("", ("", "x"), 0),
    ],
)
def test_a_class_is_the_one_that_a_board_means(text, names, number):
    """Dashboards give numbers, even where classes are named by other numbers; a name that two classes share means neither."""
    given = {"actual": text, "predicted": text}

    selection, unusable = read_selection(given, names)

    assert selection.actual == selection.predicted == number
    assert unusable == ([] if number is not None else ["actual", "predicted"])


async def test_a_cell_says_how_many_of_the_images_lie_in_it(client):
    """One mistake among many images is looked for; a batch without it says so."""
    found = await (await client.get("/go/images?session=run-1&actual=cat&predicted=dog")).text()
    other = await (await client.get("/sessions/run-1/batches/2-8?actual=0&predicted=1")).text()
    plain = await (await client.get("/sessions/run-1/batches/2-8")).text()

    assert "cat predicted as dog: 1 of the images here." in found
    assert "cat predicted as dog: none of the images here." in other
    assert "predicted as" not in plain
