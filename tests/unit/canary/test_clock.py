"""The clock that stands still while the canary does."""

from bridge.canary import clock


def test_time_in_which_the_process_stood_still_does_not_count(monkeypatch):
    """Neither before the first tick after it nor from then on; short gaps count as they are."""
    now = 100.0
    monkeypatch.setattr(clock.time, "monotonic", lambda: now)
    running = clock.RunningClock()
    started = running.now()
    times = []
    for now, ticks in ((100.2, 1), (100.4, 1), (160.0, 0), (160.0, 1), (160.3, 1)):  # noqa: B007 -- see above
        times.append(round(running.now() - started, 3))
        if ticks:
            running.tick()
    assert times == [0.2, 0.4, 0.9, 0.9, 1.2]
