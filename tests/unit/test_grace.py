"""A stop has a certain time, and whoever comes later has what others have not used."""

from bridge.grace import Grace


def test_the_time_begins_with_the_stop():
    """However long the bridge has run before it, and a part of it is over when it is over."""
    now = [100.0]
    grace = Grace(20.0, clock=lambda: now[0])
    now[0] += 1_000
    assert grace.left(0.8) == 16.0
    grace.begin()
    now[0] += 6
    assert grace.left(0.8) == 10.0
    now[0] += 20
    assert grace.left(0.8) == grace.left(1) == 0.0
