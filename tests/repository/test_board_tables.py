"""What Grafana's own code makes of answers where a panel turns them around: matrices, and charts over steps."""

import pytest
from support.boards import BOARDS, panels
from support.grafana_panels import asked, clickable, columns

SHOWN = {"range": {"from": 1_700_000_000_000, "to": 1_700_004_243_000}, "intervalMs": 15_000}

VARIABLES = {"bridge_url": "https://bridge.example.com", "session": "night-1"}

PAIRS = [("10", "10", 5), ("02", "10", 1), ("02", "02", 7), ("other", "02", 2), ("00", "00", 9)]
"""Predicted class, true class, and how often, in no sequence."""


def made(board, title, *answers):
    """Return what a panel shows of the answers to its queries."""
    [panel] = [one for one in panels(BOARDS[board]) if one["title"] == title]
    letters = [target["refId"] for target in panel["targets"]]
    given = [
        {"refId": letter, "format": "table", "legend": "", "result": result}
        for letter, result in zip(letters, answers, strict=True)
    ]
    [shown] = asked(
        [{"what": "panel", "panel": panel, "answers": given, "variables": VARIABLES, **SHOWN}]
    )
    return shown


@pytest.mark.parametrize("title", ["Confusion matrix", "Confusion by true class"])
def test_a_matrix_has_its_classes_in_their_sequence(title):
    """Ten comes after two, what never occurred is empty, and each cell leads to the images of its own mistake."""
    result = [
        {"metric": {"predicted_class": p, "true_class": t}, "value": [1_700_004_243, str(count)]}
        for p, t, count in PAIRS
    ]

    shown = made("trainbridge-images", title, result)

    assert columns(shown) == {
        "true \\ predicted": ["00", "02", "10"],
        "0": [9, None, None],
        "2": [None, 7, 1],
        "10": [None, None, 5],
        "other": [None, 2, None],
    }
    links = {(link.field, link.value): link.href for link in clickable(title, shown)}
    assert links["2", 1] == (
        "https://bridge.example.com/go/images?session=night-1&actual=10&predicted=02"
        "&from=1700000000000&to=1700004243000"
    )
    assert not any(field == "true \\ predicted" for field, _ in links)


def test_sessions_are_drawn_over_their_steps():
    """Each is a line of its own at the steps that it was at, which go up, whenever it ran."""
    steps = {"a": [(60, 10), (120, 20)], "b": [(60, 100), (120, 10), (180, 11)]}
    losses = {"a": [(60, 0.9), (120, 0.5)], "b": [(60, 0.1), (120, 0.7), (180, 0.2)]}

    shown = made("trainbridge-compare", "Loss by step", series(steps), series(losses))

    assert columns(shown) == {
        "Step": [10, 11, 20, 100],
        "a": [0.9, None, 0.5, None],
        "b": [0.7, 0.2, None, 0.1],
    }


def series(values):
    """Return an answer of Prometheus over time."""
    return [
        {"metric": {"session_id": name}, "values": [[at, str(value)] for at, value in points]}
        for name, points in values.items()
    ]
