"""Boards are drawn as Grafana would show them: units, variables, transformations, and each kind of panel."""

import re

import pytest
from support.board_pictures import svg
from support.board_pictures.fields import configured, shown
from support.board_pictures.frames import Field, Frame, table_frame
from support.board_pictures.page import DRAWINGS, WITHOUT_DATA, opened, page
from support.board_pictures.points import trend
from support.board_pictures.questions import Questions
from support.board_pictures.timeseries import Picture
from support.board_pictures.transformations import KNOWN, transformed
from support.board_pictures.units import written
from support.board_pictures.variables import Choice, Scope, Window, matched
from support.boards import BOARDS, panels

from grafana.board import any_of, board
from grafana.panels import SCALES, text, timeseries

WINDOW = Window(1_700_000_000, 1_700_000_600, scrape_seconds=15)

WRITTEN = {
    # what @grafana/data 13.2.3 writes
    ("none", 9.0312, None): "9.03",
    ("none", 0.02345, None): "0.0235",
    ("none", 3, None): "3",
    ("none", -1.234, None): "-1.23",
    ("none", 1234567, None): "1234567",
    ("none", 1e-7, None): "1e-7",
    ("none", 9.0312, 0): "9",
    ("none", 3, 1): "3.0",
    ("none", 12.345, 1): "12.3",
    ("short", 1234, None): "1.23 K",
    ("short", 98765.4, None): "98.8 K",
    ("short", 2_500_000, 0): "3 Mil",
    ("s", 0, None): "0 s",
    ("s", 5e-7, None): "500 ns",
    ("s", 0.00025, None): "250 µs",
    ("s", 0.0125, 0): "13 ms",
    ("s", 59.94, None): "59.9 s",
    ("s", 90, None): "1.50 mins",
    ("s", 5400, 0): "2 hours",
    ("s", 100_000, None): "1.16 days",
    ("s", 1e6, None): "1.65 weeks",
    ("s", 4e7, None): "1.27 years",
    ("ms", 1250, None): "1.25 s",
    ("ms", 0.5, None): "0.500 ms",
    ("bytes", 0, None): "0 B",
    ("bytes", 1536, None): "1.50 KiB",
    ("bytes", 5.5 * 1024**3, 1): "5.5 GiB",
    ("decbytes", 1_536_000, None): "1.54 MB",
    ("Bps", 2500, None): "2.50 kB/s",
    ("binBps", 2048, None): "2 KiB/s",
    ("percentunit", 0.8765, None): "87.6%",
    ("percentunit", 1, None): "100%",
    ("percentunit", 0.005, 0): "1%",
    ("percent", 42.25, None): "42.3%",
    ("suffix:/s", 12.345, None): "12.3 /s",
    ("watt", 250, None): "250 W",
    ("celsius", 71.5, None): "71.5 °C",
    ("reqps", 1500, None): "1.50K req/s",
    ("cps", 3, None): "3 c/s",
    ("sci", 12345, None): "1.2345e+4",
    ("sci", 0.0003, None): "3e-4",
    ("hertz", 1500, None): "1.50 kHz",
}


@pytest.mark.parametrize(("case", "expected"), WRITTEN.items(), ids=str)
def test_numbers_are_written_as_grafana_writes_them(case, expected):
    """The same digits, the same prefix, the same unit."""
    unit, value, decimals = case

    assert written(value, unit, decimals) == expected


def units(panel):
    """Yield every unit that a panel gives its fields."""
    config = panel.get("fieldConfig", {})
    yield config.get("defaults", {}).get("unit")
    for override in config.get("overrides", ()):
        yield from (one["value"] for one in override["properties"] if one["id"] == "unit")


@pytest.mark.parametrize("name", BOARDS)
def test_whatever_boards_have_can_be_drawn(name):
    """Each type of panel has a drawing, each unit a case, each transformation one; a new one without it fails here."""
    for panel in panels(BOARDS[name]):
        if (panel.get("datasource") or {}).get("type", "prometheus") != "prometheus":
            continue
        assert panel["type"] in (*DRAWINGS, *WITHOUT_DATA), panel["title"]
        assert {one["id"] for one in panel.get("transformations", ())} <= set(KNOWN), panel["title"]
        for unit in filter(None, units(panel)):
            assert written(1.5, unit)


def test_variables_are_filled_in_by_where_they_stand():
    """In a query several values are a pattern without surprises; in a link they are parameters; unknown ones stay."""
    choices = {
        "session": Choice(("a.b", "c"), is_multi=True),
        "job": Choice((".+",), is_multi=True, is_everything=True),
        "one": Choice(("x",)),
    }
    scope = Scope(WINDOW, choices, interval=30)

    assert scope.query('{a=~"$session", b=~"${job}"}[$__rate_interval]') == (
        '{a=~"(a\\\\.b|c)", b=~".+"}[60s]'
    )
    assert scope.text("/d/x?${session:queryparam}&${job:queryparam}&${__url_time_range}") == (
        "/d/x?var-session=a.b&var-session=c&var-job=%24__all&from=1700000000000&to=1700000600000"
    )
    assert scope.text("${one}?at=${__to}&w=${__interval_ms}&${unknown}") == (
        "x?at=1700000600000&w=30000&${unknown}"
    )


def test_a_pattern_takes_the_values_of_a_variable_out_of_answers():
    """Grafana's named group `value` is the value; without one it is the first group."""
    answers = ['{model="m",session_id="run-1"} 1 0', '{session_id="run-2"} 1 0', "nothing"]

    assert matched('/session_id="(?<value>[^"]+)"/', answers) == ["run-1", "run-2"]
    assert matched('/model="([^"]+)"/', answers) == ["m"]
    assert matched("", ["b", "b"]) == ["b"]


def test_tables_are_joined_reordered_and_renamed():
    """As in Grafana: one row a session, columns where the board wants them, missing cells empty."""
    frames = [
        table_frame(
            "A", "Value #A", [({"session_id": "x"}, [(1, "1")]), ({"session_id": "y"}, [(1, "2")])]
        ),
        table_frame("B", "Value #B", [({"session_id": "y"}, [(1, "0.5")])]),
    ]
    organize = {
        "excludeByName": {"Time 1": True, "Time": True, "Time 2": True},
        "indexByName": {"Value #B": 0, "session_id": 1},
        "renameByName": {"Value #B": "Loss"},
    }

    [joined] = transformed(
        frames,
        [
            {"id": "joinByField", "options": {"byField": "session_id", "mode": "outer"}},
            {"id": "organize", "options": organize},
        ],
    )

    assert {one.title: one.values for one in joined.fields} == {
        "Loss": [None, 0.5],
        "session_id": ["x", "y"],
        "Value #A": [1.0, 2.0],
    }
    assert joined.fields[0].title == "Loss"


def test_a_matrix_has_a_corner_that_names_both():
    """Links in cells count on the name of its first column, and on empty cells staying empty."""
    cells = [
        ({"actual": "1", "predicted": "2"}, [(1, "3")]),
        ({"actual": "2", "predicted": "2"}, [(1, "9")]),
    ]
    options = {"columnField": "predicted", "rowField": "actual", "valueField": "Value"}

    [matrix] = transformed(
        [table_frame("A", "Value", cells)], [{"id": "groupingToMatrix", "options": options}]
    )

    assert [(one.title, one.values) for one in matrix.fields] == [
        ("actual\\predicted", ["1", "2"]),
        ("2", [3.0, 9.0]),
    ]


def test_values_are_shown_by_mappings_first_and_thresholds_else():
    """A state has its name and colour; an override beats what all fields have; NaN is written, not 0."""
    config = {
        "defaults": {
            "unit": "s",
            "thresholds": {
                "steps": [{"value": None, "color": "text"}, {"value": 60, "color": "red"}]
            },
        },
        "overrides": [
            {
                "matcher": {"id": "byName", "options": "state"},
                "properties": [
                    {
                        "id": "mappings",
                        "value": [
                            {
                                "type": "value",
                                "options": {"2": {"text": "running", "color": "green"}},
                            }
                        ],
                    }
                ],
            }
        ],
    }

    [frame] = configured(
        [Frame((Field("state", [2.0]), Field("age", [90.0, 5.0, float("nan")])))], config
    )
    state, age = frame.fields

    assert shown(state, 2.0) == ("running", "#73BF69")
    assert shown(age, 90.0) == ("1.50 mins", "#F2495C")
    assert shown(age, 5.0) == ("5 s", "#ccccdc")
    assert shown(age, float("nan")).text == "NaN"


def recorded(path, parameters):
    """Answer as a Prometheus with one session: a label, an instant value, a line, an exemplar."""
    labels = {"session_id": "run-1", "public_url": "http://bridge", "le": "1"}
    if path.startswith("label/"):
        return ["run-1"]
    if path == "query_exemplars":
        exemplar = {"labels": {"batch": "1-7"}, "value": "1", "timestamp": WINDOW.end - 60}
        return [{"seriesLabels": labels, "exemplars": [exemplar]}]
    if path == "query_range":
        step = float(parameters["step"])
        times = [WINDOW.end - k * step for k in range(9, -1, -1)]
        values = [[at, str(1 + place % 3)] for place, at in enumerate(times)]
        return {"resultType": "matrix", "result": [{"metric": labels, "values": values}]}
    return {"resultType": "vector", "result": [{"metric": labels, "value": [WINDOW.end, "2"]}]}


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_of_a_board_is_on_its_page(name, monkeypatch):
    """Each has its title and a drawing, none reports trouble, and points lead where a click in Grafana would."""
    monkeypatch.setattr("support.board_pictures.page.embedded", lambda url: url)
    board = BOARDS[name]

    html = page(board, Questions(recorded, Scope(WINDOW)))

    assert html.count("<section") == len(list(opened(board["panels"])))
    assert 'class="trouble"' not in html or name.startswith(OPTIONAL)
    if "/go/images?session=" in str(board):
        assert "http://bridge/go/images?session=" in html


OPTIONAL = ("trainbridge-infinity", "trainbridge-traces", "trainbridge-gallery")
"""Boards that ask other data sources, too."""


def test_a_panel_stands_once_for_each_value_of_a_variable(monkeypatch):
    """Each under its own name, three beside each other, and what follows is below them all."""
    panel = timeseries("$metric", "A number.", 'training_metric{name=~"$metric"}', repeat="metric")
    below = text("Below", "A text.", "text", width=24, height=4)
    metric = any_of("metric", "Number", "label_values(training_metric, name)")
    numbers = board(
        uid="x", title="X", description="X.", variables=(metric,), panels=(panel, below)
    )
    asked = []

    def answer(path, parameters):
        asked.append(parameters.get("query"))
        return ["a", "b.c", "d", "e"] if path == "label/name/values" else recorded(path, parameters)

    html = page(numbers, Questions(answer, Scope(WINDOW)))
    titles = re.findall(r"<h2>(.*?)<abbr", html)
    tops = [int(top) for top in re.findall(r'<section style="[^"]*top:(\d+)px', html)]

    assert titles == ["a", "b.c", "d", "e", "Below"]
    assert tops == [0, 0, 0, 8 * 38, 16 * 38]
    assert 'name=~"b\\\\.c"}' in asked[-3]


def test_an_axis_of_losses_is_logarithmic_on_both_sides_of_nothing():
    """Each power of ten has the same room, as in Grafana, whatever sign it has, and 0 has a place."""
    axis = svg.numeric_scale([-1.0, 0.0, 100.0], (300, 0), distribution=SCALES["symlog"])

    assert {-1.0, 0.0, 1.0, 100.0} <= set(axis.ticks(12))
    assert axis(0.1) - axis(1) == pytest.approx(axis(10) - axis(100), rel=0.001)
    assert axis(0) - axis(1) == pytest.approx(axis(-1) - axis(0))


def test_values_at_an_axis_have_room():
    """As many letters as they have, left of where the lines begin."""
    custom = {"scaleDistribution": SCALES["symlog"]}
    values = Field("run-1", [0.09, 0.5, 1.2], config={"unit": "none", "custom": custom})
    frame = Frame((Field("Step", [0.0, 1000.0, 2000.0], config={"unit": "short"}), values))
    picture = Picture(500, 320, WINDOW.start, WINDOW.end, 15)

    drawn = trend({"options": {"xField": "Step"}}, [frame], picture)
    labels = re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="end">([^<]+)<', drawn)

    assert labels
    for right, label in labels:
        assert float(right) >= len(label) * svg.LETTER, label


def test_closed_rows_are_opened():
    """What is below one that is closed moves down by the height of its panels."""
    row = {"type": "row", "gridPos": {"y": 0, "h": 1}, "panels": [{"gridPos": {"y": 1, "h": 8}}]}
    below = {"gridPos": {"y": 1, "h": 4}}

    assert [one["gridPos"]["y"] for one in opened([row, below])] == [0, 1, 9]
