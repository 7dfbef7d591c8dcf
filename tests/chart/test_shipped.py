"""The boards that the chart ships are those that are tested; tests/repository says that they are right."""

import json
from pathlib import Path

import pytest
from support.charts import CHART, GOLDEN, ROOT, RefusedError, case, made, objects, originals

BOARDS = originals()

WITH_BOARDS = ["autoscaled", "keda", "long-names"]
"""Cases that ship them."""

OPTIONAL = sorted((ROOT / "grafana" / "dashboards" / "optional").glob("*.json"))


def test_the_chart_ships_the_very_files():
    """Helm cannot reach outside of the chart, and some deployers drop links, so these are copies: the same to the byte."""
    folder = CHART / "files/dashboards"
    shipped = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.json")}
    optional = {Path("optional") / path.name: path.read_bytes() for path in OPTIONAL}

    assert shipped == {Path(path.name): path.read_bytes() for path in BOARDS} | optional
    assert optional


@pytest.mark.parametrize("name", WITH_BOARDS)
def test_a_cluster_gets_the_boards_as_they_are(name):
    """Templates of legends pass Helm untouched."""
    values, where = case(name)
    things = objects(values, **where)
    [boards] = [thing for thing in things if thing["metadata"]["name"].endswith("-dashboards")]

    assert {name: json.loads(text) for name, text in boards["data"].items()} == {
        path.name: json.loads(path.read_text()) for path in BOARDS
    }
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_golden_renders_name_what_is_compared_here():
    """A golden render has the name of a shipped file in place of its content, and no case escapes the comparison."""
    markers = [f"<{path.name}>" for path in BOARDS]
    naming = [
        path.stem
        for path in sorted(GOLDEN.glob("*.yaml"))
        if any(marker in path.read_text() for marker in markers)
    ]

    assert naming == WITH_BOARDS


def test_a_board_fits_a_configmap():
    """Kubernetes takes at most 1 MiB of them together."""
    folder = CHART / "files" / "dashboards"

    assert sum(path.stat().st_size for path in folder.rglob("*.json")) < 1_000_000


@pytest.mark.parametrize("path", OPTIONAL, ids=lambda path: path.name)
def test_a_board_that_needs_more_is_shipped_to_those_who_ask_for_it(path):
    """By its name; no other one comes with it."""
    name = path.stem.removeprefix("trainbridge-")

    [boards] = made("ConfigMap", metrics={"dashboards": {"enabled": True, "optional": [name]}})[-1:]

    assert set(boards["data"]) == {path.name, *(board.name for board in BOARDS)}
    assert json.loads(boards["data"][path.name]) == json.loads(path.read_text())


def test_a_board_that_there_is_not_is_refused():
    """With the ones that there are."""
    with pytest.raises(RefusedError, match="infinity"):
        made("ConfigMap", metrics={"dashboards": {"enabled": True, "optional": ["tempo"]}})
