"""Boards and pages link to each other, at addresses that exist."""

import json
import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from support.tools import ROOT

from bridge.addresses import GO_TO_IMAGES
from bridge.web.board_links import FLEET, SESSION
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


@pytest.mark.parametrize("uid", [FLEET, SESSION])
def test_the_boards_that_pages_link_to_are_shipped(uid):
    """They have the uids of the links, and the variable that the links set."""
    [board] = [board for board in map(json.loads, TEXTS) if board["uid"] == uid]
    variables = [variable["name"] for variable in board["templating"]["list"]]

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
    [fleet] = [board for board in map(json.loads, TEXTS) if board["uid"] == FLEET]
    [panel] = [panel for panel in fleet["panels"] if panel["title"] == title]
    expected = alerts[PANELS[title]]
    for name, expression in recorded.items():
        expected = re.sub(rf"{name}(?![:\w])", f"({expression})", expected)

    assert plain(panel["targets"][0]["expr"]) == plain(f"count({expected}) or vector(0)")
