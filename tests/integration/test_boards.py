"""The boards in front of a real Prometheus that scrapes two real bridges, which real trainings feed: what a reader sees."""

import json
import re

import pytest
from support.board_links import examples, fault, follow, links
from support.board_runs import (
    BATCHES,
    EPOCH_BATCHES,
    EPOCHS,
    MISTAKE,
    NAN,
    PERPLEXITIES,
    SAMPLES,
    SPIKE,
    SPIKE_LOSS,
    loss_of,
    pictures,
)
from support.board_scene import EVERY, scene
from support.boards import BOARDS, annotations, filled
from support.grafana_panels import columns

from grafana.states import STATUSES

pytestmark = pytest.mark.timeout(300)

NOTHING_WENT_WRONG = "it counts what goes wrong, and nothing did"

WITHOUT_DATA = {
    "trainbridge-bridge: Errors by code": NOTHING_WENT_WRONG,
    "trainbridge-bridge: Dropped by reason": NOTHING_WENT_WRONG,
}
"""Panels that may be empty, and why."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Everything that was trained, and every board in front of it."""
    with scene(tmp_path_factory.mktemp("boards")) as found:
        yield found


def test_no_panel_is_empty(seen):
    """Every query is one that Prometheus answers, and every panel shows something, of one session at least."""
    filled_in = {each.where for each in seen.shown if any(one["result"] for one in each.answers)}

    assert {each.where for each in seen.shown} - filled_in - WITHOUT_DATA.keys() == set()


def test_every_legend_is_made_of_labels_that_there_are(seen):
    """A name that a result does not have is shown as nothing, and two lines look the same."""
    missing = {
        f"{each.where}: {name}"
        for each in seen.shown
        for one in each.answers
        for name in re.findall(r"\{\{\s*(\w+)\s*\}\}", one["legend"])
        if one["result"] and not any(name in sample["metric"] for sample in one["result"])
    }

    assert missing == set()


def test_every_annotation_is_answered(seen):
    """Prometheus takes each query, and what a text names is a label of the result."""
    for name in BOARDS:
        chosen = seen.source.window.values | seen.source.chosen(name, {"session": "spike"})
        for one in annotations(name):
            found = seen.source.range(filled(one.expr, chosen))
            texts = " ".join(one.target.get(key, "") for key in ("titleFormat", "textFormat"))
            for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", texts):
                assert all(label in series["metric"] for series in found), f"{one}: {label}"


def test_the_reader_finds_every_session_and_every_bridge(seen):
    """Those that have ended too, and one that two bridges know is there once."""
    expected = {"spike", "again", "failed", "hung", "moved", "gpu", "pair", "pair-rank1"}
    for name, board in BOARDS.items():
        chosen = seen.source.chosen(name, {"session": "spike"})
        for variable in board["templating"]["list"]:
            if variable["name"] == "session":
                offered = seen.source.options(variable, chosen)
                assert sorted(offered) == sorted(expected), name
            if variable["name"] == "instance":
                offered = seen.source.options(variable, chosen)
                assert sorted(offered) == sorted((seen.first.http, seen.second.http)), name


def test_the_bridge_of_a_text_is_the_one_that_has_the_session(seen):
    """It is not the first that there is."""
    for name, board in BOARDS.items():
        if "bridge_url" not in [one["name"] for one in board["templating"]["list"]]:
            continue
        for session, bridge in (
            ("spike", seen.first),
            ("again", seen.second),
            ("moved", seen.second),
        ):
            chosen = seen.source.chosen(name, {"session": session})
            assert chosen["bridge_url"] == f"http://{bridge.http}", (name, session)


def single(seen, board, title, session=EVERY):
    """Return the one number that a panel shows: the last of its first query."""
    shown, _ = seen.panel(board, title, session)
    [sample] = shown.answers[0]["result"]
    return float((sample.get("value") or sample["values"][-1])[1])


def test_the_fleet_counts_what_there_is(seen):
    """Two ranks, a GPU's client that has said nothing of its status, and every run that has not ended; one hangs, one has failed."""
    counts = {
        title: single(seen, "trainbridge-fleet", title)
        for title in ("Running", "Stalled", "Disconnected", "Failed")
    }

    open_sessions = sum(session.stats.connected for session in seen.runs.sessions.values())
    assert counts == {"Running": open_sessions + 2, "Stalled": 1, "Disconnected": 0, "Failed": 1}


def test_the_row_of_a_session_is_what_its_sdk_says(seen):
    """Where it is, its last loss, its accuracy: as Grafana's own transformations put them into columns."""
    _, drawn = seen.panel("trainbridge-fleet", "Sessions")
    table = columns(drawn)
    row = {name: values[table["Session"].index("spike")] for name, values in table.items()}
    stats = seen.runs.sessions["spike"].stats

    assert (stats.batches, stats.batches_acknowledged) == (BATCHES, BATCHES)
    assert row["Epoch"] == (BATCHES - 1) // EPOCH_BATCHES
    assert row["Step"] == stats.step == BATCHES - 1
    assert row["Loss"] == pytest.approx(loss_of(BATCHES - 1), rel=1e-6)
    assert row["Accuracy"] == pytest.approx(0.625)
    assert row["Progress"] == pytest.approx(BATCHES / EPOCH_BATCHES / EPOCHS, abs=1 / EPOCHS)
    assert WORDS[row["State"]] == "running"


WORDS = {state.code: state.word for state in STATUSES}

BOOKS = {
    "training_batches_total": lambda stats: stats.batches,
    "training_step": lambda stats: stats.step,
    "training_tokens_total": lambda stats: stats.tokens,
    "training_samples_total": lambda stats: stats.batches * SAMPLES,
    "training_epochs_completed_total": lambda stats: stats.batches // EPOCH_BATCHES,
    'training_images_total{result="stored"}': lambda stats: stats.images_kept,
    'training_metric{split="train"}': lambda _: PERPLEXITIES["train"],
    'training_nonfinite_values_total{field="batch_loss"}': lambda _: len([NAN]),
    "training_events_total": lambda _: 1,
    'training_commands_total{result="applied"}': lambda _: 1,
    'training_commands_total{result="refused"}': lambda _: 1,
}
"""Series of the run with everything, and what its own SDK says of them."""


def test_series_agree_with_the_books_of_the_sdk(seen):
    """What Prometheus has stored is what the training has counted."""
    stats = seen.runs.sessions["spike"].stats

    found = {
        series: [
            float(sample["value"][1])
            for sample in seen.source.instant(with_session(series, "spike"))
            if float(sample["value"][1])
        ]
        for series in BOOKS
    }

    assert found == {series: [book(stats)] for series, book in BOOKS.items()}
    [highest] = seen.source.instant(
        'max_over_time(training_loss_interval_max{session_id="spike"}[5m])'
    )
    assert float(highest["value"][1]) == SPIKE_LOSS


def with_session(series, session_id):
    """Return a selector of one session's series."""
    name, _, matchers = series.removesuffix("}").partition("{")
    return f'{name}{{session_id="{session_id}"{", " if matchers else ""}{matchers}}}'


def test_the_second_attempt_is_the_second(seen):
    """The run that failed and came back is in its second attempt."""
    [sample] = seen.source.instant('training_attempt{session_id="again"}')

    assert float(sample["value"][1]) == seen.runs.sessions["again"].attempt == 2


SPIKED = f"{SPIKE // EPOCH_BATCHES}-{SPIKE % EPOCH_BATCHES}"
"""The batch of the spike, as addresses name it."""


def test_every_link_is_filled_in(seen):
    """At every point and in every cell, by Grafana's own code: nothing of a variable is left, and boards exist."""
    wrong = {(shown.where, link.href): fault(link) for shown, link in links(seen) if fault(link)}

    assert wrong == {}


def test_every_link_to_a_bridge_answers(seen):
    """Of each column and series the first, the last and the highest value: with a page, and no error."""
    led = [(shown, link) for shown, link in examples(seen) if link.href.startswith("http")]

    found = {(shown.where, link.href): follow(link.href).status for shown, link in led}

    assert found
    assert {link: status for link, status in found.items() if status != 200} == {}


def test_each_link_leads_to_the_bridge_that_has_the_session(seen):
    """Of a run that moved to the one that it is with now; of others to the one that they never left."""
    homes = {"spike": seen.first, "hung": seen.first, "again": seen.second, "gpu": seen.second}
    for shown, link in links(seen):
        for session, home in homes.items():
            if f"session={session}&" in f"{link.href}&" and link.href.startswith("http"):
                assert seen.bridge_of(link.href) is home, (shown.where, link.href)


def spike_points(seen):
    """Return the links of all points, on any board, at which the loss is that of the spike."""
    return [
        (shown, link)
        for shown, link in links(seen)
        if link.value == SPIKE_LOSS and "session=spike&" in link.href
    ]


def test_a_spike_leads_to_its_pictures(seen):
    """From the point of the chart to the batch itself, and to the very JPEG files that the training has sent."""
    points = spike_points(seen)

    assert {shown.board for shown, _ in points} >= {"trainbridge-fleet", "trainbridge-session"}
    for shown, link in points:
        page = follow(link.href)
        assert page.path == f"/sessions/spike/batches/{SPIKED}", (shown.where, link.href)
    for index, picture in enumerate(pictures(SPIKE)):
        assert f"{SPIKED}/{index}.jpg" in page.body.decode()
        assert seen.first.get(f"/sessions/spike/batches/{SPIKED}/{index}.jpg") == picture


def test_a_cell_of_the_confusion_matrix_leads_to_the_images_of_that_mistake(seen):
    """The one that only the batch of the spike has."""
    mistake = re.compile(f"actual=0*{MISTAKE[0]}&predicted=0*{MISTAKE[1]}&")
    found = [
        link
        for shown, link in links(seen)
        if shown.board == "trainbridge-images"
        and mistake.search(link.href)
        and shown.session == "spike"
    ]

    assert len({link.panel for link in found}) >= 2
    for link in found:
        assert link.panel != "Confusion matrix" or link.value == pytest.approx(SAMPLES, abs=0.5)
        assert SPIKED in follow(link.href).path + follow(link.href).body.decode()


def test_exemplars_lead_to_the_batch_and_its_trace(seen):
    """From the bridge through the scrape and the storage: the batch of the spike, and the trace of its session."""
    asked = [
        target["expr"]
        for shown in seen.shown
        if shown.board == "trainbridge-session" and shown.session == "spike"
        for target in shown.panel["targets"]
        if target.get("exemplar")
    ]
    trace = json.loads(seen.first.get("/api/v1/sessions/spike"))["trace_id"]
    chosen = seen.source.window.values | seen.source.chosen(
        "trainbridge-session", {"session": "spike"}
    )

    assert asked
    found = [
        exemplar
        for expr in asked
        for series in seen.source.exemplars(filled(expr, chosen))
        for exemplar in series["exemplars"]
    ]
    assert SPIKED in [
        one["labels"].get("batch") for one in found if float(one["value"]) == SPIKE_LOSS
    ]
    assert {one["labels"]["trace_id"] for one in found} == {trace}
