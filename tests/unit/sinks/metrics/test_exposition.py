"""Tests of the page."""

import asyncio
import math
import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.series import NOON, OPENMETRICS, Scene

from bridge.lifecycle import Expired, Registered
from bridge.model import Batch, Client, Config, Epoch, Prediction
from bridge.session import Session
from bridge.trace_context import TraceContext

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)[{ ]")


def crowd(scene, count):
    """Let many sessions tell much."""
    predictions = tuple(Prediction(i % 8, 0.5) for i in range(16))
    truths = tuple(i % 5 for i in range(16))
    sessions = []
    for number in range(count):
        session = scene.session(f"run-{number}", config=Config(3, 100, 16, "m", "d", ("a", "b")))
        batch = Batch(1, number, 0.5 + number, (), 0, predictions, truths, 0.1)
        scene.tell(session, batch, Epoch(1, 0.1, 0.2))
        sessions.append(session)
    return sessions


def families_in_order(page):
    """Return the names of families as their stretches begin, and check each sample's stretch."""
    stretches = []
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            stretches.append(line.split()[2])
        elif not line.startswith("#"):
            assert SAMPLE.match(line)[1].startswith(stretches[-1]), line
    return stretches


def test_both_formats_tell_the_same():
    """OpenMetrics and text agree on every sample, the bridge's own included."""
    scene = Scene()
    crowd(scene, 3)

    def samples(families):
        return {
            (s.name, *sorted(s.labels.items())): str(s.value)
            for family in families
            for s in family.samples
            if not s.name.startswith(("bridge_exposition", "bridge_series", "process_"))
        }

    assert samples(scene.families()) == samples(scene.openmetrics())
    assert len(scene.values("bridge_build_info")) == 1


def test_each_family_is_one_stretch_with_its_type():
    """No family appears twice, whatever the number of sessions; OpenMetrics ends in one EOF."""
    scene = Scene()
    crowd(scene, 40)

    for accept in ("", OPENMETRICS):
        page = scene.page(accept)
        names = families_in_order(page)
        assert len(names) == len(set(names))
        assert page.count("# EOF") == (1 if accept else 0)
        assert page.endswith("# EOF\n" if accept else "\n")


def test_no_sample_has_a_timestamp():
    """Prometheus marks series stale by itself only if the page has no timestamps."""
    scene = Scene()
    crowd(scene, 1)

    assert all(
        len(line.rsplit("}", 1)[-1].split()) <= 2
        for line in scene.page().splitlines()
        if not line.startswith("#")
    )
    assert all(s.timestamp is None for f in scene.openmetrics() for s in f.samples)


def test_a_spike_has_an_exemplar_of_its_own():
    """The bucket of a spike leads to its trace and batch, long after the loss is normal again."""
    scene = Scene()
    session = scene.session()
    for index in range(100):
        scene.tell(session, Batch(3, index, 40.0 if index == 50 else 0.3))

    exemplars = {
        sample.labels["le"]: sample.exemplar
        for family in scene.openmetrics()
        for sample in family.samples
        if sample.name == "training_batch_loss_bucket" and sample.exemplar
    }

    assert set(exemplars) == {"0.5", "50.0"}
    spike = exemplars["50.0"]
    assert spike.labels == {"trace_id": session.trace_id, "batch": "3-50"}
    assert spike.value == 40.0
    assert float(spike.timestamp) == NOON


def test_exemplars_are_in_openmetrics_only():
    """The text format has no word for them."""
    scene = Scene()
    crowd(scene, 1)

    assert " # {" not in scene.page()
    assert " # {" in scene.page(OPENMETRICS)


def test_exemplars_keep_to_the_limit():
    """Whatever trace a client brought, the labels of an exemplar have at most 128 characters."""
    scene = Scene()
    client = Client(trace_context=TraceContext("f" * 500, "1" * 16, 1))
    scene.tell(scene.session(client=client), Batch(2**32 - 1, 2**32 - 1, 0.5))

    exemplar = next(
        sample.exemplar
        for family in scene.openmetrics()
        for sample in family.samples
        if sample.exemplar
    )

    assert sum(len(name) + len(value) for name, value in exemplar.labels.items()) <= 128


def test_the_content_type_is_what_the_page_is():
    """A scraper learns which of the two formats it got."""
    scene = Scene()

    async def content_types():
        return [
            (await scene.exposition.render(accept)).content_type for accept in ("", OPENMETRICS)
        ]

    assert asyncio.run(content_types()) == [
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ]


def test_the_page_counts_its_series():
    """The bridge reports how many series of sessions it last showed, and how long that took."""
    scene = Scene()
    crowd(scene, 5)

    page = scene.page()
    shown = [line for line in page.splitlines() if line.startswith("training_")]

    assert scene.value("bridge_series") == len(shown)
    assert scene.value("bridge_exposition_duration_seconds_count") == 3


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_a_page_for_some_sessions_has_nothing_of_others(accept):
    """It has the series of the sessions whose names begin so, and of the bridge what boards need; any parser takes it."""
    scene = Scene()
    for name in ("a.run", "b.run", "ab.run"):
        scene.tell(scene.session(name), Batch(1, 0, 0.5))
    page = asyncio.run(scene.exposition.render(accept, "a.")).body.decode()
    parse = parse_openmetrics if accept else parse_text
    samples = [sample for family in parse(page) for sample in family.samples]
    assert {sample.labels["session_id"] for sample in samples if "session_id" in sample.labels} == {
        "a.run"
    }
    others = {sample.name for sample in samples if "session_id" not in sample.labels}
    assert others == {"bridge_build_info"}
    assert "b.run" not in page


async def test_pages_for_some_sessions_are_not_shared_with_others():
    """Requests at the same time share a page only where they may see the same."""
    scene = Scene()
    for name in ("a.run", "b.run"):
        scene.session(name)
    pages = await asyncio.gather(
        *(scene.exposition.render("", prefix) for prefix in ("a.", "b.", "", "a."))
    )
    bodies = [page.body.decode() for page in pages]
    assert bodies[0] is not bodies[1]
    assert "b.run" not in bodies[0] + bodies[3]
    assert "a.run" not in bodies[1]
    assert "a.run" in bodies[2]
    assert "b.run" in bodies[2]


async def test_scrapes_at_the_same_time_share_one_page():
    """Ten scrapers cost what one does."""
    scene = Scene()
    crowd(scene, 20)

    pages = await asyncio.gather(*(scene.exposition.render("") for _ in range(10)))
    other = await scene.exposition.render(OPENMETRICS)

    rendered = scene.telemetry.registry.get_sample_value("bridge_exposition_duration_seconds_count")
    assert len({id(page.body) for page in pages}) == 1
    assert other.body != pages[0].body
    assert rendered == 2


async def test_a_scraper_that_gives_up_takes_nothing_from_the_others():
    """One timeout does not cost the other scraper its page."""
    scene = Scene()
    crowd(scene, 100)
    leaving = asyncio.create_task(scene.exposition.render(""))
    staying = asyncio.create_task(scene.exposition.render(""))
    await asyncio.sleep(0)

    leaving.cancel()

    assert b"training_loss" in (await staying).body
    assert (await asyncio.gather(leaving, return_exceptions=True))[0].__class__ is (
        asyncio.CancelledError
    )
    assert b"training_loss" in (await scene.exposition.render("")).body


async def test_change_while_rendering_breaks_nothing():
    """Sessions come, go and learn new series between slices; the page is still whole."""
    scene = Scene()
    sessions = crowd(scene, 300)
    stop = asyncio.Event()
    turns = 0

    async def change():
        nonlocal turns
        while not stop.is_set():
            turns += 1
            leaving = sessions.pop(0)
            scene.tell(leaving, Expired())
            sessions.append(scene.session(leaving.id, attempt=leaving.attempt + 1))
            predictions = (Prediction(turns % 40, 0.5), Prediction(3, 0.5))
            for session in sessions[:20]:
                scene.tell(session, Batch(turns, 0, 1.0, (), 0, predictions, (turns % 40, 4)))
            scene.tell(Session(f"new-{turns}", Client(), Config(), now=NOON), Registered())
            await asyncio.sleep(0)

    changing = asyncio.create_task(change())
    for accept in ("", OPENMETRICS):
        before = turns
        page = (await scene.exposition.render(accept)).body.decode()
        names = families_in_order(page)
        lines = [line for line in page.splitlines() if not line.startswith("#")]
        labels = [line.split("} ")[0] for line in lines if line.startswith("training_")]

        assert turns > before
        assert len(names) == len(set(names))
        assert len(labels) == len(set(labels))
        check_histograms(lines)
    stop.set()
    await changing


def check_histograms(lines):
    """Each histogram of the page agrees with itself: +Inf is the count."""
    totals = {}
    for line in lines:
        match = re.match(r'(training_\w+?)(_bucket|_count)\{(.*?)(,le="\+Inf")?\} (\d+)', line)
        if match and (match[2] == "_count" or match[4]):
            totals.setdefault((match[1], match[3]), set()).add(match[5])

    assert totals
    assert all(len(values) == 1 for values in totals.values())


async def test_the_event_loop_gets_its_turns():
    """A large page is rendered in many slices, beside which everything else goes on."""
    scene = Scene()
    crowd(scene, 400)
    turns = 0
    done = asyncio.Event()

    async def beside():
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(beside())
    page = await scene.exposition.render("")
    done.set()
    await task

    assert page.body.count(b"\n") > 30_000
    assert turns >= 4


def test_an_empty_bridge_has_a_page():
    """Without sessions the page has the bridge's own series, in both formats."""
    scene = Scene()

    assert "training_" not in scene.page()
    assert scene.value("bridge_streams") == 0
    assert math.isnan(scene.value("bridge_object_store_up")), "nothing was uploaded yet"
    assert math.isnan(scene.value("bridge_spool_up")), "nothing was checked yet"
    assert {f.name for f in scene.openmetrics()} == {f.name for f in scene.families()}
