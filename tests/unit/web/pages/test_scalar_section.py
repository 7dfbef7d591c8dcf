"""Numbers by name and events on the page of a session."""

import re

from support.pages import running

from bridge.model import Batch, Level, Occurrence, Scalars
from bridge.scalar_history import ScalarHistory
from bridge.web.pages.scalar_section import MAX_CHARTS

HOSTILE = '<script>alert("x")</script>'


async def page_of(client, query=""):
    """Return the page of the session."""
    return await (await client.get(f"/sessions/run-1{query}")).text()


async def test_each_name_has_a_chart(open_client):
    """Splits are named with their newest values; what curves are drawn over can be chosen without scripts."""
    client = await open_client()
    run = running(client.deps)
    for step in range(5):
        run.apply(Scalars(0, 0, {"loss": 1.5}, step, "train"), run.registered_at + step)
        run.apply(Scalars(0, 0, {"loss": 2.5}, step, "validation"), run.registered_at + step)

    page = await page_of(client)

    assert page.count('<figure class="scalar">') == 1
    assert re.search(r'class="key c0">train <b>1.5', page)
    assert re.search(r'class="key c1">validation <b>2.5', page)
    assert '<a href="?by=time">time</a>' in page
    assert '<a href="?by=step">step</a>' in await page_of(client, "?by=time")


async def test_names_without_a_chart_have_their_newest_value(open_client):
    """Beyond the room for charts, and of versions that kept no curves, the last value is listed."""
    client = await open_client()
    run = running(client.deps)
    run.scalars = ScalarHistory.restored([], {"from before": 0.25})
    names = {f"name{number:02}": 1.0 for number in range(MAX_CHARTS + 2)}
    run.apply(Scalars(0, 0, names, 1, "train"), run.registered_at)

    page = await page_of(client)

    assert page.count('<figure class="scalar">') == MAX_CHARTS
    assert f"name{MAX_CHARTS + 1} (train)" in page
    assert "from before" in page


async def test_a_session_without_numbers_has_no_such_part(open_client):
    """The page shows nothing that was not reported."""
    client = await open_client()
    running(client.deps)

    assert "<h2>Scalars</h2>" not in await page_of(client)


async def test_events_are_in_the_list_of_what_happened(open_client):
    """With their level, where the loop was, and their details, among what the bridge noticed."""
    client = await open_client()
    run = running(client.deps)
    details = {"from": "0.1", "to": "0.05"}
    run.apply(Occurrence("lr drop", "by half", Level.WARNING, details, 1, 2, 1_234), 5.0)

    page = await page_of(client)

    assert "<b>warning</b> lr drop: by half" in page
    assert "step 1,234" in page
    assert "from: 0.1, to: 0.05" in page
    assert "connected" in page


async def test_events_are_marks_on_the_loss_curve(open_client):
    """Each in the part of the curve during which it happened."""
    client = await open_client()
    run = running(client.deps, batches=0)
    began = run.registered_at
    for number in range(10):
        run.apply(Batch(1, number, 1.0), began + number)
    for name in ("lr drop", "sample"):
        run.apply(Occurrence(name, "", Level.INFO, {}, 1, 4), began + 4.5)

    page = await page_of(client)

    assert '<span class="key event">event</span>' in page
    assert re.findall(r'class="event-mark"><line x1="([\d.]+)%".*?<title>(.*?)</title>', page) == [
        ("45.0", "lr drop, sample")
    ]


async def test_names_and_events_are_text(open_client):
    """Nothing that a loop names becomes markup."""
    client = await open_client()
    run = running(client.deps)
    run.apply(Scalars(0, 0, {HOSTILE: 1.0}, 1, HOSTILE), run.registered_at)
    run.apply(
        Occurrence(HOSTILE, HOSTILE, Level.INFO, {HOSTILE: HOSTILE}, 0, 0, 1), run.registered_at
    )

    page = await page_of(client)

    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


async def test_events_beyond_what_is_kept_are_counted(open_client):
    """The page says how many there were."""
    client = await open_client()
    run = running(client.deps)
    for number in range(500):
        run.apply(Occurrence(f"event {number}", "", Level.INFO, {}, 0, 0), float(number))

    assert "The loop has reported 500 events; the newest 200 are kept." in await page_of(client)
