"""Bridges that die while others live: nothing that was acknowledged is lost, and nobody waits long."""

from support.fleet.faults import kills, lost_nodes, moves
from support.fleet.verdict import Limits


def test_bridges_are_killed_while_streams_move(campaign):
    """One bridge after the other ends by kill -9, while streams are closed every two seconds."""
    assert campaign(kills(6), moves(2), seconds=15, ahead_seconds=5) >= 6


def test_nodes_are_lost(campaign):
    """Bridges are killed and their disks are gone: numbers are whole, and each image has its fate."""
    lossy = Limits(keeps_disks=False)
    assert campaign(lost_nodes(8), seconds=11, ahead_seconds=7, images_every=3, limits=lossy) >= 2
