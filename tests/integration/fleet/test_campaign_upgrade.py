"""A rolling upgrade: bridges are stopped in order and replaced, one after the other."""

from support.fleet.faults import moves, upgrades


def test_bridges_are_replaced_one_by_one(campaign):
    """Streams are asked to go elsewhere and do, twice around, while others are moved by force."""
    assert campaign(upgrades(4), moves(3), seconds=17, ahead_seconds=3) >= 5
