"""Bridges that lose their database for a while, and a database that moves to another machine."""

from support.fleet.faults import cuts, failover, freezes, moves
from support.fleet.verdict import Limits


def test_bridges_are_cut_off_from_the_database(campaign):
    """Connections are reset and refused, or what is sent goes nowhere: the others go on, and the cut one comes back."""
    assert (
        campaign(cuts(7, 2, silent=False), cuts(9, 3, silent=True), seconds=14, ahead_seconds=6)
        >= 3
    )


def test_bridges_are_frozen(campaign):
    """One that goes on after some seconds does not know that it has lost sessions: it acknowledges nothing of them."""
    # The proxy takes two seconds to notice, and PostgreSQL up to four to end a group that is half sent.
    patient = Limits(seconds=7, gap_seconds=8)
    assert campaign(freezes(8, 5), seconds=11, ahead_seconds=7, limits=patient) >= 2


def test_the_database_fails_over(campaign):
    """The primary is killed under load, and its standby takes its place: not one acknowledged batch is missing."""
    assert campaign(failover(1), moves(3), seconds=11, standby=True) >= 2
