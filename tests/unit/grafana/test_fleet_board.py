"""The fleet is that of trainings: what a canary does is not among them, and each leads to its own board."""

import pytest

from bridge.protocol import CANARY_CLIENT
from grafana.boards.fleet import COUNTS, OVER_TIME
from grafana.boards.fleet_table import ABOUT, COLUMNS, SESSIONS_TABLE, fields

COUNTED = ("Running", "Batches", "Samples")

DRAWN = (
    "What sessions do",
    "Loss",
    "Highest loss",
    "Accuracy",
    "Batches per second",
    "Time of a batch, p95",
    "Goodput by session",
    "Sessions by phase",
    "Ends by kind",
)


@pytest.mark.parametrize(
    "panel",
    [panel for panel in (*COUNTS, *OVER_TIME) if panel["title"] in (*COUNTED, *DRAWN)],
    ids=lambda panel: panel["title"],
)
def test_the_canary_is_left_out(panel):
    """It would be one more run that never ends."""
    assert all(f'client_name="{CANARY_CLIENT}"' in target["expr"] for target in panel["targets"])


def test_no_column_brings_the_canary_back():
    """Columns are joined from all sides: one that has it would have a row for it."""
    exprs = [target["expr"] for target in SESSIONS_TABLE["targets"]]

    assert len(exprs) == len(COLUMNS) + 1
    assert all(f'client_name="{CANARY_CLIENT}"' in expr for expr in exprs)


def test_a_column_is_what_its_query_fills():
    """The name of its session first, where it runs last."""
    titles = list(fields().values())

    assert titles[0] == "Session"
    assert titles[-1] == "Bridge"
    assert set(titles) == {*ABOUT.values(), *(column.title for column in COLUMNS)}


def test_a_row_leads_to_the_board_and_to_the_bridge_of_its_session():
    """With the data source and the time kept."""
    links = {
        override["matcher"]["options"]: [link["url"] for link in item["value"]]
        for override in SESSIONS_TABLE["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] == "links"
    }

    [board] = links["Session"]
    assert board.startswith("/d/trainbridge-session?var-session=${__data.fields.Session}&")
    assert [url.partition("}/")[2].partition("?")[0] for url in links["Bridge"]] == [
        "sessions/${__data.fields.Session}",
        "go/images",
    ]


def test_counts_lead_on():
    """Whoever sees one that hangs wants to see which."""
    leading = {
        panel["title"]: [link["url"] for link in panel["fieldConfig"]["defaults"]["links"]]
        for panel in COUNTS
        if "links" in panel["fieldConfig"]["defaults"]
    }

    assert {*leading} == {"Running", "Stalled", "Disconnected", "Failed", "Bridges up"}
    assert all(url.startswith("/d/trainbridge-") for urls in leading.values() for url in urls)
