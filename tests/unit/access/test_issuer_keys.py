"""An issuer's keys over time: rotated, away, asked for by floods of tokens."""

import asyncio
import threading

import pytest
from support.issuer import KEYS
from support.waiting import until

from bridge.access.issuer import Issuer, fetch_keys
from bridge.access.issuer_keys import (
    FRESH_SECONDS,
    PAUSE_SECONDS,
    STALE_SECONDS,
    IssuerKeys,
)
from bridge.errors import IssuerError, UnauthenticatedError
from bridge.telemetry import Telemetry


class Clock:
    """Seconds that pass when a test says so."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
def used():
    """Return what was said of the issuer, newest last."""
    return []


@pytest.fixture
def keys(issuer, clock, used):
    """Return the keys of the issuer, of which none is known yet."""
    known = Issuer(issuer.url, "trainbridge", jwks_url=issuer.url + KEYS)
    return IssuerKeys(known, Telemetry(), on_used=used.append, monotonic=clock)


async def id_of(keys, key_id):
    """Return the name of the key that is found, None: there is none."""
    found = await keys.find(key_id, "ES256")
    return found and found.id


async def test_a_new_key_is_fetched_when_it_is_shown(keys, issuer, clock):
    """A rotation needs nobody to do anything; the old key is gone with it."""
    assert await id_of(keys, "first") == "first"
    issuer.rotate("second")
    clock.now += PAUSE_SECONDS
    assert await id_of(keys, "second") == "second"
    assert await id_of(keys, "first") is None
    assert issuer.fetches() == 2


async def test_a_flood_of_unknown_keys_stays_here(keys, issuer, clock):
    """However many tokens come with keys that nobody knows, the issuer is asked once in a while."""
    await id_of(keys, "first")
    clock.now += PAUSE_SECONDS
    found = await asyncio.gather(*(id_of(keys, f"unknown {number}") for number in range(500)))
    assert set(found) == {None}
    assert issuer.fetches() == 2
    assert await id_of(keys, "first") == "first"
    assert issuer.fetches() == 2


async def test_keys_are_looked_at_again_though_none_is_missing(keys, issuer, clock):
    """So that one which was withdrawn does not last; whoever shows a token does not wait for it."""
    await id_of(keys, "first")
    issuer.rotate("second")
    clock.now += FRESH_SECONDS + 1
    assert await id_of(keys, "first") == "first"
    await until(keys._attempt.done)
    assert await id_of(keys, "first") is None
    assert issuer.fetches() == 2


async def test_keys_outlast_an_outage(keys, issuer, clock, used):
    """For a day; then tokens are refused with a text that does not blame them."""
    await id_of(keys, "first")
    issuer.answers[KEYS] = (503, {}, b"")
    clock.now += STALE_SECONDS - 1
    assert await id_of(keys, "first") == "first"
    await until(lambda: used == [True, False])
    clock.now += PAUSE_SECONDS
    with pytest.raises(UnauthenticatedError, match="has not reached the issuer"):
        await id_of(keys, "first")
    issuer.answers.clear()
    clock.now += PAUSE_SECONDS
    assert await id_of(keys, "first") == "first"
    assert used == [True, False, False, True]


async def test_an_issuer_that_is_away_from_the_start(keys, issuer, clock):
    """Nobody comes in before it is there, and it is not asked for every token."""
    issuer.answers[KEYS] = (503, {}, b"")
    for _ in range(20):
        with pytest.raises(UnauthenticatedError, match="readyz"):
            await id_of(keys, "first")
    assert issuer.fetches() == 1
    issuer.answers.clear()
    clock.now += PAUSE_SECONDS
    assert await id_of(keys, "first") == "first"


async def test_a_fetch_that_hangs_holds_nothing_up(issuer, clock, monkeypatch):
    """Known keys go on; whoever waits for an unknown one does so for a time, and no second fetch begins."""
    may_end, begun = threading.Event(), []

    def fetch(known):
        begun.append(known)
        if len(begun) > 1:
            may_end.wait()
        return fetch_keys(known)

    known = Issuer(issuer.url, "trainbridge", jwks_url=issuer.url + KEYS)
    keys = IssuerKeys(known, Telemetry(), fetch=fetch, monotonic=clock)
    await id_of(keys, "first")
    monkeypatch.setattr("bridge.access.issuer_keys.WAIT_SECONDS", 0.01)
    try:
        for _ in range(3):
            clock.now += PAUSE_SECONDS
            assert await id_of(keys, "unknown") is None
            assert await id_of(keys, "first") == "first"
        assert len(begun) == 2
    finally:
        may_end.set()
        await until(keys._attempt.done)


async def test_only_so_many_wait_for_an_issuer_that_hangs(issuer, monkeypatch):
    """A stranger's tokens with unknown keys do not pile up: one more is refused at once, and known keys go on."""
    may_end, begun = threading.Event(), []

    def fetch(known):
        begun.append(known)
        if len(begun) > 1:
            may_end.wait()
        return fetch_keys(known)

    monkeypatch.setattr("bridge.access.issuer_keys.PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("bridge.access.issuer_keys.WAIT_SECONDS", 3_600.0)
    monkeypatch.setattr("bridge.access.issuer_keys.MAX_WAITING", 3)
    known = Issuer(issuer.url, "trainbridge", jwks_url=issuer.url + KEYS)
    keys = IssuerKeys(known, Telemetry(), fetch=fetch)
    await id_of(keys, "first")
    waiting = [asyncio.create_task(id_of(keys, "unknown")) for _ in range(10)]
    try:
        await until(lambda: sum(one.done() for one in waiting) == 7)
        assert await id_of(keys, "first") == "first"
    finally:
        may_end.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert found.count(None) == 3
    assert all("issuer" in str(one) for one in found if one is not None)
    assert keys._waiting == 0


@pytest.mark.parametrize("error", [IssuerError("away"), RuntimeError("a mistake of ours")])
async def test_no_error_takes_the_keys_away(issuer, clock, used, caplog, error):
    """One that nobody foresaw is logged, and nothing of it is shown to who waits."""
    outcomes = [None, error]

    def fetch(known):
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return fetch_keys(known)

    known = Issuer(issuer.url, "trainbridge", jwks_url=issuer.url + KEYS)
    keys = IssuerKeys(known, Telemetry(), on_used=used.append, fetch=fetch, monotonic=clock)
    await id_of(keys, "first")
    clock.now += PAUSE_SECONDS
    assert await id_of(keys, "unknown") is None
    assert await id_of(keys, "first") == "first"
    assert used == [True, False]
    assert len(caplog.records) == isinstance(error, RuntimeError)
