"""How the steps and phases of a session have gone lately."""

from bridge.recent_progress import SPACING_SECONDS, WINDOW_SECONDS, Progress, RecentProgress


def test_two_readings_make_a_change():
    """The difference between them, phase by phase; one that is new counts from nothing."""
    progress = RecentProgress()
    assert progress.change is None
    progress.add(Progress(100.0, 10, {"training": 5.0}))
    assert progress.change is None

    progress.add(Progress(105.0, 30, {"training": 9.0, "data": 1.0}))

    assert progress.change == Progress(5.0, 20, {"training": 4.0, "data": 1.0})


def test_it_looks_back_only_so_far():
    """A rank that has become slow after ten hours is seen within minutes, in a few readings of memory."""
    progress = RecentProgress()
    for second in range(0, 36_000, 5):
        progress.add(Progress(float(second), second, {"data": float(second)}))
    for second in range(36_000, 36_000 + 600, 5):
        progress.add(Progress(float(second), 36_000, {"data": float(second)}))

    recent = progress.change
    assert recent.steps == 0
    assert WINDOW_SECONDS <= recent.at <= WINDOW_SECONDS + SPACING_SECONDS
    assert len(progress._kept) <= WINDOW_SECONDS / SPACING_SECONDS + 2


def test_lower_numbers_begin_anew():
    """They are of another process, or the clock was set back; a change is never negative."""
    progress = RecentProgress()
    progress.add(Progress(0.0, 500, {"data": 50.0}))
    progress.add(Progress(40.0, 900, {"data": 90.0}))

    progress.add(Progress(80.0, 3, {"data": 0.5}))
    assert progress.change is None
    progress.add(Progress(85.0, 5, {"data": 1.0}))
    assert progress.change == Progress(5.0, 2, {"data": 0.5})

    progress.add(Progress(20.0, 6, {"data": 1.0}))
    assert progress.change is None
