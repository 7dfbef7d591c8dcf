"""Links from pages to boards lead to boards that are shipped."""

import json

from support.tools import ROOT

from bridge.web.links import BOARD_UID, board_link

BOARDS = [json.loads(path.read_text()) for path in (ROOT / "grafana" / "dashboards").glob("*.json")]


def test_the_board_that_pages_link_to_is_shipped():
    """It has the uid of the link, and the variable that the link sets."""
    [board] = [board for board in BOARDS if board["uid"] == BOARD_UID]
    variables = [variable["name"] for variable in board["templating"]["list"]]

    link = board_link("https://grafana.example", "run-1", around_ms=1_700_000_000_000)

    assert link == (
        "https://grafana.example/d/trainbridge-fleet"
        "?var-session=run-1&from=1699999700000&to=1700000300000"
    )
    assert "session" in variables
