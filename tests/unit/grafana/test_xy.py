"""Sessions are compared by their steps though Prometheus knows no axis but the time."""

import pytest

from grafana.board import board
from grafana.boards.compare import BY_STEP, NUMBERS
from grafana.xy import by_session

CHART = by_session(
    "Loss by step",
    "The loss.",
    x="training_step",
    y="training_loss",
    x_title="Step",
    x_unit="short",
)


def test_both_numbers_are_asked_for_over_time_as_tables():
    """One row for each session and time, which is what Grafana puts together."""
    assert [(one["format"], one["range"]) for one in CHART["targets"]] == [("table", True)] * 2


def test_a_value_without_a_place_is_left_out():
    """It would stand at an unknown step."""
    assert " and on (session_id) (training_step{" in CHART["targets"][1]["expr"]


def test_each_session_becomes_a_column_over_the_steps_in_their_sequence():
    """The chart refuses steps that go back."""
    ids = [one["id"] for one in CHART["transformations"]]

    assert ids == ["merge", "groupingToMatrix", "convertFieldType", "sortBy", "organize"]
    assert CHART["transformations"][3]["options"]["sort"] == [{"field": "Value #A\\session_id"}]
    assert CHART["options"]["xField"] == "Step"
    assert CHART["fieldConfig"]["defaults"]["custom"]["spanNulls"] is True


@pytest.mark.parametrize("chart", [*BY_STEP, *NUMBERS], ids=lambda chart: chart["title"])
def test_every_chart_of_the_board_is_one(chart):
    """None of them is drawn over the time of day."""
    [placed] = board(uid="x", title="x", description="x", panels=[chart], variables=())["panels"]

    assert placed["type"] == "trend"
