"""Pages lead to the board that shows what they are about, over the time that they are about."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.model import Client, Config, Stage
from bridge.session import Session
from bridge.web.board_links import (
    compare_board,
    fleet_board,
    moment_board,
    rank_board,
    session_board,
)
from bridge.web.session_view import session_view

GRAFANA = "https://grafana.example/sub"

HOUR = 3_600


def view(name="run-1", *, began=0.0, ended=None, now=HOUR):
    """Return a session that goes on, or ended at a time."""
    live = session_view(Session(name, Client(), Config(), now=began), now)
    if ended is None:
        return live
    return replace(live, stage=Stage.ENDED, is_live=False, ended_at=float(ended))


def parts(link):
    """Return the path of a link, and its parameters."""
    split = urlsplit(link)
    return split.path, parse_qs(split.query)


def test_the_list_leads_to_the_fleet():
    """As it always has: bookmarks of it keep their variables."""
    assert fleet_board(GRAFANA) == "https://grafana.example/sub/d/trainbridge-fleet"


@pytest.mark.parametrize(
    ("session", "start", "end"),
    [
        (view(began=1_000), "700000", "now"),
        (view(began=1_000, now=1_000 + 25 * HOUR), "now-24h", "now"),
        (view(began=1_000, ended=2_000), "700000", "2300000"),
        (view(began=1_000, ended=1_000 + 90 * HOUR), "700000", "325300000"),
    ],
    ids=["goes on", "goes on for days", "ended", "ended after days"],
)
def test_a_session_leads_to_its_board_over_its_time(session, start, end):
    """A session that ended last week is not looked for in the last hours; one that goes on shows a day at most."""
    path, query = parts(session_board(GRAFANA, session))

    assert path == "/sub/d/trainbridge-session"
    assert query == {"var-session": ["run-1"], "from": [start], "to": [end]}


def test_a_batch_leads_to_the_minutes_around_it():
    """Five before and five after."""
    _, query = parts(moment_board(GRAFANA, "run-1", 1_700_000_000_000))

    assert query["from"] == ["1699999700000"]
    assert query["to"] == ["1700000300000"]


def test_sessions_side_by_side_lead_to_the_board_that_compares():
    """All of them, from the first beginning to the last end."""
    sessions = [view("a", began=1_000, ended=2_000), view("b", began=3_000, ended=4_000)]

    path, query = parts(compare_board(GRAFANA, sessions))

    assert path == "/sub/d/trainbridge-compare"
    assert query == {"var-session": ["a", "b"], "from": ["700000"], "to": ["4300000"]}


def test_a_rank_leads_to_its_board():
    """Over the time that the board shows at first."""
    assert parts(rank_board(GRAFANA, "r-0")) == (
        "/sub/d/trainbridge-session",
        {"var-session": ["r-0"]},
    )
