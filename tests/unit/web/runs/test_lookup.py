"""The sessions of a run are found, one for each rank."""

from support.runs import rank_session

from bridge.web.runs.findings import findings
from bridge.web.runs.lookup import view_of


def test_two_sessions_that_are_the_same_rank_are_named():
    """One of them would be missing without a word: two runs have the same name."""
    view = view_of("night", [rank_session(rank) for rank in (0, 1, 1)])

    text = next(one.text for one in findings(view) if "at once" in one.text)
    assert [reading.rank for reading in view.readings] == [0, 1]
    assert text.startswith("Several sessions say at once that they are rank 1 of this run")
    assert "session_id" in text


def test_a_rank_beyond_the_size_of_its_run_makes_that_larger():
    """A process that counts wrongly is shown, and never as three ranks of two."""
    view = view_of("night", [rank_session(0), rank_session(9)])

    assert view.world_size == 10
