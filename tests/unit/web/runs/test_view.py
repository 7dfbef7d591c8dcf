"""The ranks of a run side by side: which one is slow, which one is behind, which one is missing."""

import pytest
from support.pages import NOON
from support.runs import gpu, rank_performance, rank_session

from bridge.lifecycle import Disconnected, Ended
from bridge.model import Batch, Stage, Status, StatusChange
from bridge.web.runs.findings import findings, ranks_text
from bridge.web.runs.reading import reading_of
from bridge.web.runs.view import RunView


def view_of(*sessions, world_size=4, now=NOON):
    """Return the view of a run of these sessions."""
    return RunView("night", world_size, tuple(map(reading_of, sessions)), now)


def texts(view):
    """Return what stands out."""
    return [finding.text for finding in findings(view)]


def loading(rank, data, *, steps=1_000, **values):
    """Return a rank that has spent so many of 100 s loading data."""
    begun = rank_performance(steps - 1_000)
    seconds = {"training": 100.0 - data, "data": data}
    return rank_session(rank, begun, rank_performance(steps, seconds=seconds, **values))


def test_the_rank_that_loads_data_slowly_holds_up_the_others():
    """All steps take as long as its own: what it does alone, beyond the median rank, is what the others wait for."""
    view = view_of(*(loading(rank, 40.0 if rank == 2 else 2.0) for rank in range(4)))

    assert view.slowest.reading.rank == 2
    assert [rank.straggler_ratio for rank in view.ranks] == pytest.approx([0, 0, 0.38, 0])
    assert [rank.is_slow for rank in view.ranks] == [False, False, True, False]
    (text,) = texts(view)
    assert text == (
        "Rank 2 holds up each step by 38% of the time that a step takes. It spends 40% of its time in"
        " data; at the median rank it is 2%."
    )


def test_ranks_that_are_alike_have_no_straggler():
    """Somebody is always last; that is nothing to look at."""
    view = view_of(*(loading(rank, 2.0 + rank / 10) for rank in range(4)))

    assert view.slowest is None
    assert texts(view) == []
    assert all(rank.straggler_ratio < 0.01 for rank in view.ranks)


def test_ranks_that_do_not_wait_for_each_other_differ_by_their_steps():
    """Without collectives the slow one has longer steps, whatever its phases are."""
    performances = [
        rank_performance(100, step_seconds=0.3 if rank == 1 else 0.1) for rank in range(3)
    ]
    view = view_of(
        *(rank_session(rank, one) for rank, one in enumerate(performances)), world_size=3
    )

    assert view.slowest.reading.rank == 1
    assert view.slowest.straggler_ratio == pytest.approx(2.0)


def test_without_phases_and_step_times_nothing_is_compared():
    """Not known is not 0."""
    view = view_of(*(rank_session(rank) for rank in range(2)), world_size=2)

    assert [rank.straggler_ratio for rank in view.ranks] == [None, None]
    assert [rank.bars for rank in view.ranks] == [(), ()]
    assert view.slowest is None


def test_only_the_last_minutes_count():
    """A rank that was slow for hours, and is not any more, is not slow."""
    before = rank_performance(100_000, seconds={"training": 1e3, "data": 9e3})
    after = rank_performance(101_000, seconds={"training": 1.1e3, "data": 9e3 + 2})
    view = view_of(
        rank_session(0, before, after), *(loading(rank, 2.0, steps=101_000) for rank in (1, 2))
    )

    assert view.slowest is None


def stuck(rank, steps, phase="training", **values):
    """Return a rank of a run that hangs since ten minutes ago."""
    return rank_session(rank, rank_performance(steps, phase=phase), stepped_at=NOON - 600, **values)


def test_in_a_hang_the_rank_with_fewer_steps_is_behind():
    """The others are in the collective of a step that it has not reached."""
    view = view_of(*(stuck(rank, 1_203 if rank == 3 else 1_204) for rank in range(4)))

    assert [rank.reading.rank for rank in view.behind] == [3]
    (text,) = texts(view)
    assert text == (
        "No rank has taken a step for 10 min 0 s. Rank 3 is at step 1,203, most others at 1,204:"
        " they wait there."
    )


def test_in_a_hang_at_one_step_the_rank_in_another_phase_is_behind():
    """It loads data endlessly, say, while the others wait for its gradients."""
    view = view_of(*(stuck(rank, 7, "data" if rank == 1 else "training") for rank in range(4)))

    assert [rank.reading.rank for rank in view.behind] == [1]
    assert "Rank 1 is busy with data, most others with training" in texts(view)[0]


def test_a_hang_of_all_ranks_alike_blames_none():
    """The network, or a file system, has no rank."""
    view = view_of(*(stuck(rank, 7) for rank in range(4)))

    assert view.behind == ()
    assert "All are at step 7 and busy with training, so none is behind" in texts(view)[0]


def test_ranks_that_step_are_not_behind():
    """Each reports every few seconds, at another moment than the others: their counts differ by some steps."""
    view = view_of(*(rank_session(rank, rank_performance(100 + rank)) for rank in range(4)))

    assert view.standstill_seconds is None
    assert view.behind == ()


def test_a_run_of_long_steps_does_not_stand_still_between_them():
    """Twenty times the usual step may pass, as for the alert."""
    slow = [
        rank_session(rank, rank_performance(9, step_seconds=60), stepped_at=NOON - 600)
        for rank in range(2)
    ]

    assert view_of(*slow).standstill_seconds is None


def test_rank_0_counts_by_its_batches():
    """It sends them, where the others send their number."""
    zero = rank_session(0, stepped_at=NOON)
    for index in range(5):
        zero.apply(Batch(0, index, 0.5), NOON - 600)
    view = view_of(zero, stuck(1, 4))

    assert [view.position(rank.reading) for rank in view.ranks] == [5, 4]


def test_ranks_that_are_missing_or_not_connected_are_named():
    """With how many there should be; a run that is over misses no connection."""
    away, there = rank_session(1), rank_session(0)
    away.apply(Disconnected(), NOON)
    view = view_of(there, away, world_size=8)

    assert view.missing == (2, 3, 4, 5, 6, 7)
    assert texts(view) == [
        "Rank 1 is not connected.",
        "Ranks 2\N{EN DASH}7 of 8 have never registered at this bridge.",
    ]

    for session in (there, away):
        session.apply(StatusChange(Status.COMPLETED), NOON)
        session.apply(Ended(Stage.ENDED), NOON)
    assert texts(view_of(there, away, world_size=2)) == []


def test_throttled_and_faulty_gpus_are_named():
    """The power limit is usual under full load, and nothing to point at."""
    sessions = [
        rank_session(rank, rank_performance(10, gpus=[one]))
        for rank, one in enumerate(
            [
                gpu(reasons=("power",)),
                gpu(reasons=("hardware_thermal", "power")),
                gpu(xid_errors=2, ecc_errors=1),
                gpu(xid_errors=0),
            ]
        )
    ]
    view = view_of(*sessions)

    assert texts(view) == [
        "GPUs of rank 1 are throttled: hardware_thermal.",
        "GPUs of rank 2 have reported memory or XID errors; the kernel's log of the machine names them.",
    ]
    gpus = view.ranks[2].reading.gpus
    assert (gpus.errors, gpus.utilization, gpus.memory_total) == (3, 0.9, 80 * 2**30)


def test_gpus_that_report_nothing_are_not_at_0():
    """Neither idle nor healthy."""
    gpus = view_of(rank_session(0, rank_performance(1))).ranks[0].reading.gpus

    assert gpus == (None, None, None, None, None)


@pytest.mark.parametrize(
    ("ranks", "text"),
    [
        ([3], "rank 3"),
        ([4, 3], "ranks 3 and 4"),
        ([0, 4, 5, 6, 9], "ranks 0, 4\N{EN DASH}6 and 9"),
        (range(0, 40, 2), "ranks 0, 2, 4, 6, 8, 10, 12, 14 and others, 20 in all"),
    ],
)
def test_ranks_are_named_in_few_words(ranks, text):
    """A sentence stays one, however many ranks it is about."""
    assert ranks_text(ranks) == text
