"""Lists show a run once, however many ranks report."""

from support.runs import rank_session

from bridge.model import Client, Config
from bridge.session import Session
from bridge.web.runs.folding import folded, rank_counts
from bridge.web.session_catalog import row_of


def alone(name, client=None):
    """Return the row of a session that is a rank of nothing."""
    return row_of(Session(name, client or Client(run_id=name), Config(), now=1.0))


def rows(*ranks):
    """Return the rows of these ranks of one run."""
    return [row_of(rank_session(rank)) for rank in ranks]


def test_a_run_is_listed_by_its_lowest_rank():
    """In the place of that rank; sessions that are not ranks stay."""
    listed = folded([alone("a"), *rows(2, 0, 1), alone("b")])

    assert [row.id for row in listed] == ["a", "night", "b"]


def test_a_search_that_finds_other_ranks_shows_the_lowest_of_them():
    """What was found is not hidden by a rank that was not."""
    assert [row.id for row in folded(rows(7, 3))] == ["night-rank3"]


def test_ranks_are_counted():
    """With those that have a stream; a run of which one rank reports needs no mention."""
    counts = rank_counts([*rows(0, 1, 2), alone("a")])

    assert counts["night"] == ("night", 3, 3)
    assert "a" not in counts
    assert rank_counts(rows(0)) == {}
