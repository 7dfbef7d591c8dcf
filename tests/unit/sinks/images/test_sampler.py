"""The sampler keeps the batches worth keeping, and no more than its rate."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.images import candidate

from bridge.sinks.images.sampler import Keep, Sampler, badness

LOSSES = st.floats(width=32)
PAUSES = st.floats(min_value=0.0, max_value=1.5)


def run(sampler, batches):
    """Send (session, epoch, loss, pause) through a sampler; return what was kept and discarded, with times."""
    now, kept, discarded, candidates = 100.0, [], [], []
    for number, (session_id, epoch, loss, pause) in enumerate(batches):
        now += pause
        kept += [(now, found) for found in sampler.due(now)]
        one = candidate(epoch, number, session_id=session_id, loss=loss, images=1)
        one = replace(one, starts_epoch=sampler.enter_epoch(session_id, epoch))
        candidates.append(one)
        decision = sampler.decide(one, now)
        kept += [(now, found) for found in decision.kept]
        discarded += decision.discarded
    kept += [(now, found) for found in sampler.close_all()]
    return candidates, kept, discarded


BATCHES = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 3), LOSSES, PAUSES), max_size=40
)


@given(BATCHES)
def test_every_batch_is_decided_once(batches):
    """Nothing is lost between kept and discarded, nothing is both, and no memory is held in the end."""
    sampler = Sampler()

    candidates, kept, discarded = run(sampler, batches)

    decided = [one for _, one in kept] + discarded
    assert sorted(map(id, decided)) == sorted(map(id, candidates))
    assert sampler.held_bytes == 0


@given(BATCHES)
def test_the_first_batch_of_each_epoch_is_kept(batches):
    """Whatever its loss, and however soon it comes after another."""
    candidates, kept, _ = run(Sampler(), batches)

    assert {id(one) for one in candidates if one.starts_epoch} <= {id(one) for _, one in kept}


@given(st.lists(st.tuples(LOSSES, PAUSES), min_size=1, max_size=40))
def test_no_discarded_batch_is_worse_than_what_its_window_kept(batches):
    """The batch behind any spike is there: what is discarded has a rival kept within the same half second."""
    sampler, now, arrived, kept, discarded = Sampler(), 0.0, {}, [], []
    for number, (loss, pause) in enumerate(batches):
        now += pause
        one = candidate(1, number, loss=loss, images=1)
        arrived[id(one)] = now
        kept += sampler.due(now)
        decision = sampler.decide(one, now)
        kept += decision.kept
        discarded += decision.discarded
    kept += sampler.close_all()

    for one in discarded:
        rivals = [
            rival
            for rival in kept
            if abs(arrived[id(rival)] - arrived[id(one)]) <= 0.5
            and badness(rival.batch.loss) >= badness(one.batch.loss)
        ]
        assert rivals


@given(st.lists(st.floats(0.001, 0.2), max_size=200), st.sampled_from([1.0, 2.0, 10.0]))
def test_no_more_is_kept_than_the_rate_allows(pauses, rate):
    """In any time there are at most rate x time batches, and the one that is under way."""
    sampler, now, kept = Sampler(batches_per_second=rate), 0.0, 0
    for number, pause in enumerate(pauses):
        now += pause
        kept += len(sampler.due(now))
        kept += len(sampler.decide(candidate(1, number, images=1), now).kept)
    kept += len(sampler.close_all())

    assert kept <= now * rate + 1


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_is_the_worst(strange):
    """The first batch whose loss is not finite wins its window, against any number."""
    sampler = Sampler()
    losses = (1e30, strange, 2e30, math.nan)
    candidates = [candidate(1, number, loss=loss) for number, loss in enumerate(losses)]
    for one in candidates:
        sampler.decide(one, 0.0)

    assert sampler.close("run") == (candidates[1],)


def test_a_window_closes_by_time_alone():
    """A batch is kept half a second after it came, also when nothing follows it."""
    sampler = Sampler()
    one = candidate()
    sampler.decide(one, 10.0)

    assert list(sampler.due(10.49)) == []
    assert sampler.held_bytes == one.size_bytes
    assert list(sampler.due(10.5)) == [one]
    assert list(sampler.due(99.0)) == []


def test_sessions_have_windows_of_their_own():
    """A busy session takes nothing away from a quiet one."""
    sampler = Sampler()
    quiet = candidate(session_id="quiet", loss=0.1)
    sampler.decide(quiet, 0.0)
    for number in range(9):
        sampler.decide(candidate(1, number, session_id="busy", loss=9.0), 0.01 * number)

    assert quiet in sampler.due(0.6)


def test_a_new_epoch_closes_the_window_of_the_old_one():
    """What an epoch kept comes before the first batch of the next."""
    sampler = Sampler()
    old = candidate(1, 9)
    sampler.decide(old, 0.0)
    new = candidate(2, 0, starts_epoch=True)

    assert sampler.decide(new, 0.1).kept == (old, new)


def test_all_and_none_are_decided_at_once():
    """Without sampling nothing is held."""
    one = candidate()

    assert Sampler(Keep.ALL).decide(one, 0.0).kept == (one,)
    assert Sampler(Keep.NONE).decide(one, 0.0).discarded == (one,)


def test_a_session_that_is_reset_begins_anew():
    """A new attempt's first batch is the first of its epoch, though the epoch was seen before."""
    sampler = Sampler()

    assert sampler.enter_epoch("run", 3)
    assert not sampler.enter_epoch("run", 3)
    sampler.reset("run")
    assert sampler.enter_epoch("run", 3)


@pytest.mark.parametrize("other", [-5.0, 0.0, 2.0, math.nan, -math.inf])
def test_a_loss_that_is_not_reported_is_the_least(other):
    """Nobody says that the batch is bad, so any batch with a loss comes before it."""
    assert badness(None) < badness(other)
    sampler = Sampler()
    missing, known = candidate(1, 0, loss=None), candidate(1, 1, loss=other)

    sampler.decide(missing, 100.0)
    decision = sampler.decide(known, 100.1)

    assert decision.discarded == (missing,)
    assert sampler.close_all() == [known]
