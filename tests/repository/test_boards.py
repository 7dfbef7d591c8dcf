"""Boards and pages link to each other, at addresses that exist."""

import json
import re
from urllib.parse import parse_qsl, urlsplit

from support.tools import ROOT

from bridge.addresses import GO_TO_IMAGES
from bridge.web.links import BOARD_UID, board_link
from bridge.web.pages.image_selection import PARAMETERS

TEXTS = [path.read_text() for path in (ROOT / "grafana" / "dashboards").glob("*.json")]
LINK = re.compile(r'"\$\{bridge_url\}/(go/[^"]+)"')


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
    links = [urlsplit(link) for text in TEXTS for link in LINK.findall(text)]

    assert links
    for link in links:
        assert link.path == GO_TO_IMAGES
        assert {name for name, _ in parse_qsl(link.query)} <= set(PARAMETERS)
