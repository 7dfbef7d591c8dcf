"""What became of the attempts of a run."""

import pytest
from support.attempts import HOUR, attempt, three_attempts
from support.pages import FakeArchive

from bridge.lifecycle import Disconnected, SentElsewhere
from bridge.model import Client, Status
from bridge.web.attempts import catalog as catalog_module
from bridge.web.attempts.catalog import AttemptCatalog, view_of_all
from bridge.web.session_view import session_view

NOW = 1000.0 + 2 * HOUR + 30.0


class CountingArchive(FakeArchive):
    """Counts how many attempts were read."""

    reads = 0

    def find(self, session_id, attempt=None):
        self.reads += 1
        return super().find(session_id, attempt)


@pytest.fixture
def attempts():
    """Return three attempts of a run."""
    return three_attempts()


def attempts_of(*sessions, archive=None):
    """Return a run whose last attempt is in memory."""
    *former, newest = sessions
    catalog = AttemptCatalog(archive or FakeArchive(former=former))
    return catalog.all_of(session_view(newest, NOW))


def test_each_attempt_says_how_it_went(attempts):
    """When it began and ended, where it was, how it ended: nobody saw the first one end, so it counts as lost."""
    first, second, third = attempts_of(*attempts).listed

    assert [one.state for one in (first, second, third)] == ["lost", "failed", "running"]
    assert (first.first, first.last, first.batches) == ((0, 0), (2, 9), 30)
    assert (second.first, second.last) == ((2, 0), (3, 9))
    assert first.elapsed_seconds == 30.0
    assert third.elapsed_seconds == 30.0
    assert third.is_live


def test_the_time_between_attempts_is_lost(attempts):
    """From the last sign of life of one to the registration of the next; nothing is lost before the first."""
    found = attempts_of(*attempts)

    assert [one.lost_seconds for one in found.listed] == [None, HOUR - 30.0, HOUR - 20.0]
    assert found.lost_seconds == 2 * HOUR - 50.0
    assert found.seconds == 2 * HOUR + 30.0


def test_the_start_of_the_next_process_is_not_lost():
    """It belongs to the attempt that it begins, as in the series."""
    first, second = attempt(1, 0, began=1000.0), attempt(2, 1, began=1100.0)
    second.client = Client(started_ms=1_030_000)

    assert attempts_of(first, second).lost_seconds == 20.0


def test_nothing_is_lost_after_an_attempt_that_was_done(attempts):
    """Somebody trains on from a run that completed, a week later."""
    done = attempt(1, 0, began=1000.0, status=Status.COMPLETED)
    found = attempts_of(done, attempt(2, 1, began=1000.0 + HOUR))

    assert found.lost_seconds == 0.0


def test_nothing_is_lost_after_an_attempt_that_may_have_gone_on_elsewhere():
    """For how long, nobody knows here: it is not called lost, and goodput does not count the time either."""
    moved = attempt(1, 0, began=1000.0)
    for event in (SentElsewhere(), Disconnected()):
        moved.apply(event, 1030.0)
    found = attempts_of(moved, attempt(2, 1, began=1000.0 + HOUR))

    assert [one.state for one in found.listed] == ["moved", "running"]
    assert found.listed[1].lost_seconds is None


def test_a_single_attempt_reads_nothing(attempts):
    """Almost all runs have one, and cost what they did."""
    archive = CountingArchive()
    found = attempts_of(attempts[0], archive=archive)

    assert archive.reads == 0
    assert not found.has_several


def test_former_attempts_are_read_once(attempts):
    """However often a page is refreshed: they do not change any more. A new attempt is noticed."""
    archive = CountingArchive(former=attempts[:2])
    catalog = AttemptCatalog(archive)
    for _ in range(3):
        catalog.all_of(session_view(attempts[2], NOW))
    assert archive.reads == 2

    archive.former.append(attempts[2])
    found = catalog.all_of(session_view(attempt(4, 5, began=NOW), NOW))
    assert [one.number for one in found.listed] == [1, 2, 3, 4]


def test_the_newest_of_very_many_attempts_are_shown(monkeypatch):
    """A crash loop costs no more than so many reads, and says how many it leaves out."""
    monkeypatch.setattr(catalog_module, "MAX_ATTEMPTS", 4)
    archive = CountingArchive(former=[attempt(number, 0, batches=1) for number in range(1, 10)])
    found = attempts_of(attempt(10, 0), archive=archive)

    assert [one.number for one in found.listed] == [7, 8, 9, 10]
    assert found.left_out == 6
    assert archive.reads == 3


def test_what_is_no_longer_kept_is_left_out(attempts):
    """An attempt that was pruned, or cannot be read, does not take the others with it."""
    found = attempts_of(attempts[1], attempts[2])

    assert [one.number for one in found.listed] == [2, 3]
    assert found.left_out == 1
    assert found.has_several


def test_a_forgotten_run_is_read_again(attempts, monkeypatch):
    """Only so many runs are remembered."""
    monkeypatch.setattr(catalog_module, "SESSIONS_KEPT", 1)
    other = three_attempts("other")
    archive = CountingArchive(former=[*attempts[:2], *other[:2]])
    catalog = AttemptCatalog(archive)
    for newest in (attempts[2], other[2], attempts[2]):
        catalog.all_of(session_view(newest, NOW))

    assert archive.reads == 6
    assert len(catalog._former) == 1


def test_a_run_is_in_the_state_of_its_newest_attempt(attempts):
    """Its curve and its epochs are of all."""
    newest = session_view(attempts[2], NOW)
    view = view_of_all(newest, attempts_of(*attempts))

    assert view.state == newest.state
    assert [epoch.number for epoch in view.epochs_done] == [0, 1, 2, 3, 4]
    assert len(view.loss_bins) == 50
