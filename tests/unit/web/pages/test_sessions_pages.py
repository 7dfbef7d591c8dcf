"""The first page, and the page of a session."""

import math
import re
import time

import pytest
from support.pages import FakeArchive, FakeMetrics, pictures, running

from bridge.connections.check import ConnectionCheck
from bridge.hardware import Gpu, Resources
from bridge.lifecycle import (
    Absent,
    AlertReceived,
    Disconnected,
    Ended,
    SentElsewhere,
    SequenceAdvanced,
)
from bridge.model import (
    Batch,
    Client,
    CommandResult,
    Config,
    Epoch,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web.dependencies import Check

HOSTILE = "<script>alert('x')</script>"


async def page(client, path, status=200):
    """Return a page as text."""
    response = await client.get(path)
    assert response.status == status
    return await response.text()


async def test_a_bridge_without_sessions_says_how_to_begin(open_client):
    """The first page of a new bridge has lines to paste, with the right address in them."""
    client = await open_client(grpc_address="bridge.example:50051")

    text = await page(client, "/")

    assert "Waiting for the first training loop" in text
    assert 'TrainingSession("bridge.example:50051"' in text


async def test_a_session_is_read_at_a_glance(open_client, stored):
    """Status, epoch of epochs, progress, loss, speed, GPU, time to go and the last image are on the first page."""
    client = await open_client()
    session = running(client.deps, total_epochs=4)
    session.apply(StatusChange(Status.RUNNING), session.registered_at)
    gpus = (Gpu(0, "", 0.9), Gpu(1, "", 0.7))
    session.apply(
        Performance(0.1, 60, 125, 480, 470, Resources(1.0, 2**30, gpus)), session.registered_at
    )
    stored.add("run-1", 1, 2, pictures())

    text = await page(client, "/")

    assert 'href="./sessions/run-1"' in text
    assert "epoch 1 of 4" in text
    assert '<progress class="is-running" value="0.0750" max="1"' in text
    assert '<svg class="spark"' in text
    for fact in ("0.5000", "480", "80%", "2 min 5 s", "connected"):
        assert fact in text
    assert re.search(r'<img src="\./sessions/run-1/batches/1-2/0\.jpg\?v=[0-9a-f]{16}"', text)


async def test_a_paused_or_lost_session_does_not_look_like_a_running_one(open_client):
    """The pill says what the bridge knows, also where the loop last said "running"."""
    client = await open_client()
    lost = running(client.deps, "lost-1")
    lost.apply(StatusChange(Status.RUNNING), 1.0)
    lost.apply(Ended(Stage.LOST), 2.0)
    silent = running(client.deps, "silent-1")
    silent.apply(Disconnected(), 2.0)
    silent.apply(Absent(), 2.0)
    moved = running(client.deps, "moved-1")
    moved.apply(SentElsewhere(), 2.0)
    moved.apply(Disconnected(), 2.0)
    for ending in (Status.STOPPED, Status.INTERRUPTED, Status.TERMINATED):
        ended = running(client.deps, f"{ending}-1")
        ended.apply(StatusChange(ending), 2.0)
        ended.apply(Ended(Stage.ENDED), 2.0)

    text = await page(client, "/")

    assert '<span class="pill is-lost">lost</span>' in text
    assert '<span class="pill is-disconnected">disconnected</span>' in text
    assert '<span class="pill is-moved">moved</span><span>its client was asked' in text
    assert "it goes on at another one, or has ended" in text
    for ending in ("stopped", "interrupted", "terminated"):
        assert f'<span class="pill is-{ending}">{ending}</span>' in text


async def test_a_copy_that_lacks_a_part_of_its_run_says_so(open_client):
    """What came to another bridge is not here, and nobody takes what is for the whole run; the API says so, too."""
    client = await open_client()
    running(client.deps, "whole-1")
    running(client.deps, "part-1").apply(SequenceAdvanced(1, 40), 2.0)

    said = "Part of this run never came to this bridge"
    assert said not in await page(client, "/sessions/whole-1")
    assert said in await page(client, "/sessions/part-1")
    for session_id, is_partial in (("whole-1", False), ("part-1", True)):
        answer = await client.get(f"/api/v1/sessions/{session_id}")
        assert (await answer.json())["is_partial"] is is_partial


async def test_sessions_gone_from_memory_stay_on_the_pages(open_client):
    """No run disappears with a restart or the end of its linger; memory wins over the archive."""
    old = Session("old-1", Client(), Config(), now=1.0)
    old.apply(StatusChange(Status.COMPLETED), 2.0)
    old.apply(Ended(Stage.ENDED), 2.0)
    stale = Session("run-1", Client("stale"), Config(), now=1.0)
    client = await open_client(archive=FakeArchive({"old-1": old, "run-1": stale}))
    running(client.deps)

    first = await page(client, "/")
    one = await page(client, "/sessions/old-1")

    assert first.count('href="./sessions/old-1"') >= 1
    assert "stale" not in first
    assert "completed" in one
    assert 'old-1/commands"' not in one


async def test_many_sessions_are_paged(open_client):
    """No page grows without bound, every session can be reached, and each page says where it is."""
    client = await open_client()
    for number in range(55):
        running(client.deps, f"run-{number}", batches=1)

    first = await page(client, "/")
    second = await page(client, "/?offset=50")
    beyond = await page(client, "/?offset=5000")
    await page(client, "/?offset=x", status=400)

    assert first.count('class="card"') == 50
    assert 'href="./?offset=50" rel="next"' in first
    assert "1\N{EN DASH}50 of 55" in first
    assert second.count('class="card"') == 5
    assert "51\N{EN DASH}55 of 55" in second
    assert "No more sessions" in beyond
    assert 'href="./?offset=50"' in beyond


@pytest.fixture
async def listed(open_client):
    """Return a client of a bridge with sessions of two models, live and archived."""
    archived = {}
    for name, status, model in (
        ("old-bert", Status.COMPLETED, "bert"),
        ("old-unet", Status.FAILED, "unet"),
    ):
        session = Session(
            name, Client(labels={"team": "Vision"}), Config(model_name=model), now=1.0
        )
        session.apply(StatusChange(status), 2.0)
        session.apply(Ended(Stage.ENDED), 2.0)
        archived[name] = session
    client = await open_client(archive=FakeArchive(archived))
    running(client.deps, "new-bert", model_name="BERT", dataset_name="sst2")
    running(client.deps, "new-unet", model_name="unet")
    return client


LISTS = [
    ("", ["new-bert", "new-unet", "old-bert", "old-unet"]),
    ("query=bert", ["new-bert", "old-bert"]),
    ("query=BERT+new", ["new-bert"]),
    ("query=team%3Dvision", ["old-bert", "old-unet"]),
    ("query=sst2", ["new-bert"]),
    ("query=nothing", []),
    ("status=failed", ["old-unet"]),
    ("status=completed,running", ["new-bert", "new-unet", "old-bert"]),
    ("status=ended", ["old-bert", "old-unet"]),
    ("model=Bert&status=live", ["new-bert"]),
    ("model=ber", []),
    ("query=&status=&model=&sort=", ["new-bert", "new-unet", "old-bert", "old-unet"]),
]


@pytest.mark.parametrize(("search", "names"), LISTS)
async def test_page_and_api_find_the_same_sessions(listed, search, names):
    """Search, status and model select from memory and archive alike."""
    text = await page(listed, f"/?{search}")
    answer = await (await listed.get(f"/api/v1/sessions?{search}")).json()

    assert sorted(re.findall(r'<h3><a href="\./sessions/([^"]+)"', text)) == names
    assert sorted(one["session_id"] for one in answer["sessions"]) == names
    assert answer["total"] == len(names)


async def test_a_search_is_kept_in_the_address_and_in_the_form(listed):
    """What was chosen stands in the form again, and on the links to other pages of the list."""
    for number in range(60):
        running(listed.deps, f"more-{number}", batches=1, model_name="unet")

    text = await page(listed, "/?query=more&status=running&model=unet&sort=name")

    assert 'name="query" value="more"' in text
    for chosen in ('value="unet" selected', "<option selected>running", 'value="name" selected'):
        assert chosen in text
    assert (
        'href="./?query=more&amp;status=running&amp;model=unet&amp;sort=name&amp;offset=50"' in text
    )
    assert "1\N{EN DASH}50 of 60 that match, 64 in all" in text


async def test_an_empty_result_says_what_to_do(listed):
    """It says what a search looks at, and leads back to all sessions."""
    text = await page(listed, "/?query=nothing&status=failed")

    assert "No session matches" in text
    assert "A search looks for all of its words" in text
    assert '<a href="./">Show all 4 sessions</a>' in text


async def test_a_filter_alone_is_not_called_a_search(listed):
    """Who chose a status or a model reads which of them no session has."""
    status = await page(listed, "/?status=disconnected")
    both = await page(listed, "/?status=disconnected&model=vit")

    assert "None has the status disconnected." in status
    assert "None has the status disconnected and the model vit." in both
    assert "A search" not in status + both


async def test_a_page_behind_the_end_says_how_long_the_list_is(listed):
    """Sessions may have been deleted since the link was made."""
    text = await page(listed, "/?offset=50")

    assert "The list ends before this page: it has 4 sessions." in text
    assert "Go back</a>" in text


@pytest.mark.parametrize(
    ("search", "word"),
    [("status=over", "completed"), ("sort=best", "newest"), ("query=" + "x" * 201, "200")],
)
async def test_a_search_that_cannot_be_read_is_refused(listed, search, word):
    """Page and API say what would be right."""
    answer = await listed.get(f"/api/v1/sessions?{search}")

    assert word in await page(listed, f"/?{search}", status=400)
    assert answer.status == 400
    assert word in (await answer.json(content_type=None))["detail"]


async def test_what_keeps_images_from_being_kept_is_on_the_first_page(open_client):
    """A full disk is not found out by missing images."""
    client = await open_client(readiness=(Check("spool", lambda: "the disk is full"),))

    assert "Images cannot be kept at the moment: the disk is full." in await page(client, "/")


async def test_a_session_shows_everything_it_reported(open_client, stored):
    """Curves, epochs, images, GPUs, scalars, notices and commands are on one page."""
    client = await open_client(grafana_url="http://grafana.example")
    session = running(client.deps, batches=0)
    for index in range(40):
        session.apply(Batch(1, index, 30.0 if index == 20 else 0.5), session.registered_at)
    session.apply(Epoch(1, 0.4, 0.9, 0.45, 0.88, 0.001), 2.0)
    session.apply(Epoch(2, 0.3, 0.95, 0.41, 0.91, 0.0005), 3.0)
    gpu = Gpu(0, "GPU-1", 0.5, 2**30, 2**31, 61.0, 120.0)
    session.apply(Performance(0.02, 60, 0, 480, 470, Resources(3.5, 2**30, (gpu,))), 3.0)
    session.apply(Scalars(1, 2, {"gradient_norm": 0.25}), 3.0)
    stored.add("run-1", 1, 20, pictures(), loss=30.0)
    command = client.deps.commands.submit("run-1", CommandType.PAUSE_TRAINING, {})
    client.deps.commands.take("run-1")
    client.deps.commands.answer("run-1", CommandResult(command.id, True, "will do", 1, 30))

    text = await page(client, "/sessions/run-1")

    for fragment in (
        "gradient_norm",
        "61 °C",
        "120 W",
        "350%",
        "91.0%",
        "0.0005",
        "will do",
        "Learning rate",
        "epoch 1, batch 20",
        "2 images, 1 wrong",
    ):
        assert fragment in text
    assert 'aria-label="Spike: loss 30.00 at epoch 1, batch 20; see its images"' in text
    assert 'href="../go/images?session=run-1&amp;batch=1-20"' in text
    assert "http://grafana.example/d/trainbridge-session?var-session=run-1&amp;from=" in text
    assert text.count("<form") == 6


async def test_the_worst_batches_are_listed_with_images_or_without(open_client, stored):
    """A spike whose images were not kept is the first of them, and leads to its page."""
    client = await open_client()
    session = running(client.deps, batches=0)
    for number in range(30):
        session.apply(Batch(1, number, 9.0 if number == 20 else 0.5), session.registered_at)
    stored.add("run-1", 1, 22, pictures(), loss=0.75)

    text = await page(client, "/sessions/run-1")

    listed = re.findall(r'class="strip" href="\.\./sessions/run-1/batches/(\d-\d+)"', text)
    assert listed[:3] == ["1-22", "1-20", "1-22"]
    assert '<span class="no-tile">no images</span>' in text


async def test_nan_is_marked_and_breaks_nothing(open_client):
    """Losses that are not finite are marked where they occurred, and the rest is drawn."""
    client = await open_client()
    session = running(client.deps, batches=0)
    for index, loss in enumerate([0.5, math.nan, math.inf, 0.4, -math.inf, 1e308]):
        session.apply(Batch(1, index, loss), session.registered_at)
    session.apply(Epoch(1, math.nan, math.inf), 2.0)
    session.apply(Performance(math.nan, math.inf, math.nan, math.nan, math.nan), 2.0)

    text = await page(client, "/sessions/run-1")
    first = await page(client, "/")

    assert "Loss not finite at epoch 1, batch 1; see its images" in text
    assert "points=" in text
    drawn = re.findall(r'(?:points|x|y|cx|cy|width|height)="([^"]*)"', text + first)
    assert not [value for value in drawn if "nan" in value.lower() or "inf" in value.lower()]


async def test_a_session_that_only_sends_nan_has_a_page(open_client):
    """A run without one finite loss is shown like any other."""
    client = await open_client()
    session = running(client.deps, batches=0)
    session.apply(Batch(1, 0, math.nan), session.registered_at)

    assert "NaN" in await page(client, "/")
    assert "NaN" in await page(client, "/sessions/run-1")


async def test_cells_of_the_confusion_matrix_lead_to_the_images_of_the_mistake(open_client):
    """Each cell is a link with truth and prediction, except those of many classes together."""
    confusion = {("0", "0"): 8, ("0", "1"): 2, ("1", "1"): 10, ("other", "1"): 1}
    client = await open_client(metrics=FakeMetrics(confusions={"run-1": confusion}))
    running(client.deps)

    text = await page(client, "/sessions/run-1")

    assert 'href="../go/images?session=run-1&amp;actual=0&amp;predicted=1"' in text
    assert "cat predicted as dog: 2 (20.0%)" in text
    assert "85.7% of 21 predictions right" in text
    assert "actual=other" not in text


async def test_nothing_a_client_says_becomes_html(open_client, stored):
    """Names, messages, labels, scalars and classes are shown as what they are: text."""
    client = await open_client(metrics=FakeMetrics(confusions={"run-1": {("0", "1"): 1}}))
    running(client.deps, model_name=HOSTILE, dataset_name=HOSTILE, class_names=(HOSTILE, HOSTILE))
    session = client.deps.sessions.get("run-1")
    session.client = Client(HOSTILE, HOSTILE, labels={HOSTILE: HOSTILE})
    session.apply(StatusChange(Status.RUNNING, HOSTILE), 2.0)
    session.apply(Scalars(1, 1, {HOSTILE: 1.0}), 2.0)
    client.deps.commands.submit("run-1", CommandType.PAUSE_TRAINING, {HOSTILE: HOSTILE})
    stored.add("run-1", 1, 0, pictures())

    for path in ("/", "/sessions/run-1", "/sessions/run-1/batches/1-0"):
        text = await page(client, path)

        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text


async def test_what_can_be_done_ends_with_the_run(open_client):
    """When a run is over, its forms and the note that a command is on its way go, also from a page that is open."""
    client = await open_client()
    session = running(client.deps)
    client.deps.commands.submit("run-1", CommandType.PAUSE_TRAINING, {})
    before = await page(client, "/sessions/run-1?note=queued")
    session.apply(StatusChange(Status.COMPLETED), 2.0)
    session.apply(Ended(Stage.ENDED), 2.0)
    after = await page(client, "/sessions/run-1?note=queued")

    regions = ('data-live="note"', 'data-live="forms"')
    assert all(region in text for region in regions for text in (before, after))
    assert "on its way" in before
    assert 'data-version="live"' in before
    assert "on its way" not in after
    assert 'run-1/commands"' not in after.partition("About this run")[0]
    assert 'data-version="over"' in after
    assert "never answered: the run was over first" in after


async def test_a_command_that_was_answered_is_not_on_its_way(open_client):
    """The note goes as soon as the result is there."""
    client = await open_client()
    running(client.deps)
    command = client.deps.commands.submit("run-1", CommandType.PAUSE_TRAINING, {})
    client.deps.commands.take("run-1")
    client.deps.commands.answer("run-1", CommandResult(command.id, True, "", 1, 3))

    assert "on its way" not in await page(client, "/sessions/run-1?note=queued")


async def test_a_store_that_does_not_work_is_on_every_page_with_images(open_client, stored):
    """The sentence is that of the last check of the connection, which names the way out."""
    check = ConnectionCheck("object_store", "s3://images", "no answer; check --s3-endpoint")
    client = await open_client(connection_checks=lambda: (check,))
    running(client.deps)
    stored.add("run-1", 1, 0, pictures())

    for path in ("/", "/sessions/run-1", "/sessions/run-1/batches/1-0"):
        text = await page(client, path)

        assert "does not work at the moment (s3://images): no answer; check --s3-endpoint" in text


@pytest.mark.parametrize("note", ["no-images", "<b>", "other"])
async def test_a_page_says_only_what_we_wrote(open_client, note):
    """The address of a page cannot put words into it."""
    client = await open_client()
    running(client.deps)

    text = await page(client, f"/sessions/run-1?note={note}&ignored=at,%3Cb%3E,prefer")

    assert ('role="status"' in text) == (note == "no-images")
    assert (
        "<b>at</b> (give a time in milliseconds since 1970), <b>prefer</b> (give max_loss, max_finite_loss or newest)."
        in text
    )


async def test_no_style_or_script_stands_in_a_page(open_client, stored):
    """Nothing needs what the content policy forbids."""
    client = await open_client()
    running(client.deps)
    stored.add("run-1", 1, 0, pictures())

    for path in ("/", "/sessions/run-1", "/sessions/run-1/batches/1-0", "/nope"):
        text = await (await client.get(path)).text()

        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script>", text)


async def test_a_curve_and_its_table_show_the_same_number(open_client):
    """A loss of 1.001 is not 1 above the curve and 1.001 below it."""
    client = await open_client()
    session = running(client.deps)
    session.apply(Epoch(1, 1.001, 0.9, 0.2565, 0.88, 0.0265), 2.0)

    text = await page(client, "/sessions/run-1")

    for shown in ("1.001", "0.2565", "0.0265"):
        assert f"<b>{shown}</b>" in text
        assert f"<td>{shown}</td>" in text


async def test_a_run_without_steps_says_so_above_everything(open_client):
    """The page names how long it is, and after minutes that it is not training any more and what to do."""
    client = await open_client()
    run = running(client.deps)
    run.apply(StatusChange(Status.RUNNING), run.registered_at)
    said = []
    for seconds in (5, 90, 900):
        run.stepped_at = time.time() - seconds
        said.append(await (await client.get("/sessions/run-1")).text())

    assert "No step for" not in said[0]
    assert "No step for 1 min 30 s" in said[1]
    assert "counts as stalled" not in said[1]
    assert "No step for 15 min 0 s" in said[2]
    assert "py-spy" in said[2]


async def test_the_page_of_a_session_begins_with_the_alerts_that_fire(open_client):
    """Whoever comes by an alert's link sees it before anything else, and which alert has paused the run."""
    client = await open_client()
    session = running(client.deps)
    session.apply(StatusChange(Status.PAUSED), session.registered_at)
    session.apply(AlertReceived("f1", "TrainingDiverging", 1000.0, summary=HOSTILE), 1000.0)
    commands = client.deps.commands
    commands.submit("run-1", CommandType.PAUSE_TRAINING, {}, "a", "alert TrainingDiverging")
    commands.answer("run-1", CommandResult("a", True, "", 1, 204))

    head, _, _ = (await page(client, "/sessions/run-1")).partition('aria-label="Now"')

    assert "alert TrainingDiverging fires: &lt;script&gt;" in head
    assert "Paused by alert TrainingDiverging." in head
