"""Boards and pages link to each other, at addresses that exist."""

import json
import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from support.tools import ROOT

from bridge.addresses import GO_TO_IMAGES
from bridge.web.links import BOARD_UID, board_link
from bridge.web.pages.image_selection import PARAMETERS
from grafana.build import files

TEXTS = [path.read_text() for path in (ROOT / "grafana" / "dashboards").glob("*.json")]
LINK = re.compile(r'"\$\{(?:bridge_url|__field\.labels\.public_url)\}/(go/[^"]+)"')


def test_what_is_shipped_is_what_is_written():
    """Boards are changed in grafana/boards, and written by `python -m grafana.build`; none is left over."""
    written = files()
    folders = {path.rpartition("/")[0] for path in written}
    shipped = {
        str(path.relative_to(ROOT)): path.read_text()
        for folder in folders
        for path in (ROOT / folder).glob("*.json")
    }

    assert shipped == written


def test_the_board_that_pages_link_to_is_shipped():
    """It has the uid of the link, and the variable that the link sets."""
    [board] = [board for board in map(json.loads, TEXTS) if board["uid"] == BOARD_UID]
    variables = [variable["name"] for variable in board["templating"]["list"]]

    link = board_link("https://grafana.example", "run-1", around_ms=1_700_000_000_000)

    assert link == (
        "https://grafana.example/d/trainbridge-fleet"
        "?var-session=run-1&from=1699999700000&to=1700000300000"
    )
    assert "session" in variables


def test_boards_link_to_images_with_parameters_that_pages_read():
    """The path is the one that pages and spans use, and no parameter is ignored."""
    links = [urlsplit(unescape(link)) for text in TEXTS for link in LINK.findall(text)]

    assert links
    for link in links:
        assert link.path == GO_TO_IMAGES
        assert {name for name, _ in parse_qsl(link.query)} <= set(PARAMETERS)


PANELS = {
    "Stalled": "TrainingStalled",
    "Disconnected": "TrainingDisconnected",
    "Failed": "TrainingFailed",
}
"""Panels that count what an alert is about."""

SELECTED = re.compile(r'job=~"\$job", instance=~"\$instance"(, session_id=~"\$session")?(, )?')


def plain(query):
    """Return a query without what the board's reader has chosen, and without line breaks."""
    bare = " ".join(SELECTED.sub("", query).replace("{}", "").split())
    return bare.replace("( ", "(").replace(" )", ")")


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_and_an_alert_of_the_same_thing_ask_the_same(title):
    """Whoever looks at the board during an alert sees the session that it is about, whether the rules are loaded or not."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/trainbridge.rules.yaml").read_text())[
        "groups"
    ]
    rules = [rule for group in groups for rule in group["rules"]]
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    alerts = {rule["alert"]: rule["expr"] for rule in rules if "alert" in rule}
    [fleet] = [board for board in map(json.loads, TEXTS) if board["uid"] == BOARD_UID]
    [panel] = [panel for panel in fleet["panels"] if panel["title"] == title]
    expected = alerts[PANELS[title]]
    for name, expression in recorded.items():
        expected = re.sub(rf"{name}(?![:\w])", f"({expression})", expected)

    assert plain(panel["targets"][0]["expr"]) == plain(f"count({expected}) or vector(0)")
