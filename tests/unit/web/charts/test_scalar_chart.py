"""Charts of the numbers that a run logs by name."""

import math
import re

import pytest

from bridge.model import Batch, Client, Config, Level, Occurrence, Scalars
from bridge.session import Session
from bridge.web.charts.scalar_chart import POINTS_DRAWN, STEP, TIME, scalar_charts
from bridge.web.session_view import session_view

NOON = 1_700_000_000.0


@pytest.fixture
def session():
    """A session that begins at noon."""
    return Session("run-1", Client(), Config(), now=NOON)


def log(session, values, step, split=""):
    """Log numbers at a step, one a second."""
    session.apply(Scalars(0, 0, values, step, split), NOON + step)


def charts_of(session, by=STEP):
    """Return the charts as they are drawn an hour later."""
    return scalar_charts(session_view(session, NOON + 3_600), by)


def xs(chart):
    """Return where on the x axis the first line has points."""
    return [float(x) for x in re.findall(r"([\d.]+),", " ".join(chart.lines[0].pieces))]


def test_splits_of_a_name_are_in_one_picture(session):
    """Training and validation can be compared; each split has the same colour in every chart."""
    for step in range(10):
        log(session, {"loss": 1.0, "accuracy": 0.5}, step, "train")
    log(session, {"accuracy": 0.7}, 5, "test")
    log(session, {"loss": 2.0}, 9, "validation")

    loss, accuracy = charts_of(session)

    assert [(line.split, line.style) for line in loss.lines] == [
        ("train", "c0"),
        ("validation", "c2"),
    ]
    assert [(line.split, line.style) for line in accuracy.lines] == [
        ("train", "c0"),
        ("test", "c1"),
    ]
    assert [line.newest for line in loss.lines] == [1.0, 2.0]


def test_steps_and_time_place_points_differently(session):
    """A pause is seen by time, and not by step."""
    for step, second in ((0, 0), (1, 1), (2, 100)):
        session.apply(Scalars(0, 0, {"loss": 1.0}, step), NOON + second)

    [by_step], [by_time] = charts_of(session), charts_of(session, TIME)

    assert xs(by_step)[1] == pytest.approx(500, abs=1)
    assert xs(by_time)[1] < 40
    assert [tick.text for tick in by_step.x_ticks] == ["step 0", "2"]
    assert by_time.x_ticks[-1].text == "1 min 40 s"


def test_a_run_without_steps_counts_its_batches(session):
    """Numbers of loops that report no step stand where the batches had come to."""
    for number in range(4):
        session.apply(Batch(0, number, 1.0), NOON)
        session.apply(Scalars(0, number, {"loss": 1.0}), NOON)

    [chart] = charts_of(session)

    assert [tick.text for tick in chart.x_ticks] == ["step 1", "4"]


def test_a_line_is_interrupted_where_nothing_is_finite(session):
    """NaN is a gap, a value between two of them a dot, and what is too large does not break the page."""
    for step, value in enumerate([1.0, 2.0, math.nan, 3.0, math.inf, 1e308]):
        log(session, {"norm": value}, step)

    [chart] = charts_of(session)

    [line] = chart.lines
    assert len(line.pieces) == 3
    assert len(line.dots) == 3
    assert not re.search("nan|inf", "".join(line.pieces))


def test_only_numbers_that_are_not_finite_make_a_chart_without_a_line(session):
    """Its newest value is there, as it was logged."""
    log(session, {"norm": math.nan}, 1)

    [chart] = charts_of(session)

    assert chart.lines[0].pieces == ()
    assert math.isnan(chart.lines[0].newest)


def test_extremes_are_drawn_where_values_were_joined(session):
    """A long run has few points, and a band that shows what they hide."""
    for step in range(10_000):
        log(session, {"norm": 99.0 if step == 5_000 else float(step % 2)}, step)

    [chart] = charts_of(session)

    [line] = chart.lines
    assert len(line.pieces[0].split()) <= POINTS_DRAWN
    tops = [float(y) for y in re.findall(r",([\d.]+)", line.bands[0])]
    assert min(tops) < 12


def test_events_are_marks(session):
    """What the loop reported stands where it happened, by step and by time."""
    for step in range(0, 101, 10):
        log(session, {"loss": 1.0}, step)
    event = Occurrence("lr drop", "", Level.INFO, {}, 0, 50, 50)
    session.apply(event, NOON + 25)
    session.apply(Occurrence("later", "", Level.INFO, {}, 0, 50, 5_000), NOON + 2_000)
    session.apply(Occurrence("no step", "", Level.INFO, {}, 0, 50), NOON + 75)

    [by_step], [by_time] = charts_of(session), charts_of(session, TIME)

    assert [(mark.text, mark.place) for mark in by_step.marks] == [("lr drop", 50.0)]
    assert [(mark.text, mark.place) for mark in by_time.marks] == [
        ("lr drop", 26.0),
        ("no step", 74.0),
    ]


def test_a_single_value_is_a_dot(session):
    """A curve that has only begun is drawn."""
    log(session, {"loss": 1.0}, 7)

    [chart] = charts_of(session)

    assert chart.lines[0].dots
    assert [tick.text for tick in chart.x_ticks] == ["step 7"]


def test_a_session_without_numbers_has_no_charts(session):
    """Nothing is drawn for it."""
    assert charts_of(session) == ()


def test_charts_of_losses_come_first(session):
    """The order of names in a message means nothing, so charts stay in place whatever it is."""
    log(session, dict.fromkeys(["mfu", "perplexity", "eval/loss", "gradient_norm", "loss"], 1.0), 1)

    names = [chart.name for chart in charts_of(session)]

    assert names == ["eval/loss", "loss", "gradient_norm", "mfu", "perplexity"]
