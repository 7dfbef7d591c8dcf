"""The loss curve of a run that took several attempts."""

import math

from support.attempts import attempt, three_attempts
from support.pages import coordinates

from bridge.model import Batch
from bridge.web.attempts.stitching import stitched, stretch_of
from bridge.web.charts.attempts_chart import attempts_chart
from bridge.web.charts.loss_chart import loss_chart
from bridge.web.session_view import session_view


def run_of(*sessions):
    """Return the stretches of a run."""
    stretches = ()
    for session in sessions:
        stretches = stitched(stretches, stretch_of(session_view(session, 2.0)))
    return stretches


def test_a_mark_stands_where_each_attempt_began():
    """By the number of batches that count, so that the curve has no gap and no overlap."""
    chart = attempts_chart(run_of(*three_attempts()))

    assert [(mark.text, mark.place) for mark in chart.marks] == [
        ("attempt 2", 40.0),
        ("attempt 3", 60.0),
    ]
    assert [column.attempt for column in chart.columns[::10]] == [1, 1, 2, 3, 3]
    assert chart.columns[-1].x + chart.columns[-1].width == 100


def test_what_was_done_again_is_drawn_below():
    """Its line goes on from where it was cut, beside that of the attempt which did it again."""
    chart = attempts_chart(run_of(*three_attempts()))

    first, second = (coordinates(piece)[::2] for piece in chart.faint)
    assert (first[0], first[-1]) == (410.0, 590.0)
    assert (second[0], second[-1]) == (610.0, 790.0)


def test_a_run_that_starts_over_leaves_room_for_what_it_had():
    """Its line is short, and below it stands all that the attempt before had done."""
    chart = attempts_chart(run_of(attempt(1, 0, 1, 2, 3), attempt(2, 0)))

    assert max(coordinates(chart.lines[0].pieces[0])[::2]) < 250
    assert max(coordinates(chart.faint[0])[::2]) > 980
    assert [mark.place for mark in chart.marks] == [0.0]


def test_a_single_attempt_looks_as_it_always_did():
    """No marks, nothing faint, and links that name no attempt."""
    [stretch] = run_of(attempt(1, 0, 1))

    assert attempts_chart([stretch]) == loss_chart(stretch.bins)
    assert attempts_chart([]) is None


def test_spikes_and_gaps_lead_to_the_batch_of_their_attempt():
    """A place that several attempts have passed is not enough to find the images."""
    second = attempt(2, 1, 2, loss=1.0)
    second.apply(Batch(3, 0, math.nan), 5.0)
    chart = attempts_chart(run_of(attempt(1, 0, 1, loss=1.0), second))

    assert [gap.attempt for gap in chart.gaps] == [2]


def test_marks_of_many_attempts_do_not_write_over_one_another():
    """Each has its line; words stand only where there is room."""
    chart = attempts_chart(run_of(*(attempt(number, number) for number in range(1, 41))))

    assert len(chart.marks) == 39
    assert 1 < len([mark for mark in chart.marks if mark.text]) < 10
