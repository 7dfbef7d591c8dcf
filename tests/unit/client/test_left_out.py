"""What is left out is counted by reason, logged once, and raised in strict mode."""

import logging

import pytest

from bridge.client.left_out import EXPECTED, REMEDIES, LeftOut, Reason


def test_everything_is_counted_by_what_and_why():
    """However often; a count of 0 makes no entry."""
    account = LeftOut()
    account.add("images", Reason.MEMORY, 16)
    account.add("images", Reason.MEMORY, 4)
    account.add("images", Reason.SAMPLED_OUT, 0)
    account.add("loss", Reason.UNREADABLE, error=ValueError("no"))

    assert account.counts == {("images", Reason.MEMORY): 20, ("loss", Reason.UNREADABLE): 1}
    assert account.of("images", Reason.MEMORY, Reason.TOO_LARGE) == 20
    assert account.mistakes == 1


def test_each_kind_is_logged_once(caplog):
    """With the cause and a remedy; never from the thread that counts."""
    account = LeftOut()
    with caplog.at_level(logging.WARNING, "trainbridge"):
        for _ in range(100):
            account.add("images", Reason.MEMORY, 16)
            account.add("loss", Reason.UNREADABLE, error=ValueError("seven"))
            account.add("loss", Reason.UNREADABLE, error=TypeError("eight"))
        assert caplog.records == []
        account.announce()
        account.announce()

    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert "buffer_bytes" in messages[0]
    assert "ValueError: seven" in messages[1]
    assert "TypeError: eight" in messages[2]


def test_what_the_bridge_does_not_want_is_not_logged(caplog):
    """Images beyond the bridge's rate are only counted, also in strict mode."""
    account = LeftOut(strict=True)
    with caplog.at_level(logging.WARNING, "trainbridge"):
        account.add("images", Reason.SAMPLED_OUT, 16)
        account.announce()

    assert caplog.records == []
    assert account.of("images", Reason.SAMPLED_OUT) == 16


@pytest.mark.parametrize("reason", sorted(set(Reason) - EXPECTED))
def test_strict_raises(reason):
    """In tests of a loop, whatever would be left out raises where it is given."""
    cause = ValueError("why")

    with pytest.raises(ValueError, match="images: ValueError: why") as raised:
        LeftOut(strict=True).add("images", reason, error=cause)

    assert raised.value.__cause__ is cause


def test_an_error_that_cannot_be_described_is_named():
    """The `__str__` of an exception may raise, too."""

    class WorseError(Exception):
        def __str__(self):
            raise RuntimeError

    account = LeftOut()
    account.add("loss", Reason.UNREADABLE, error=WorseError())
    account.announce()

    assert account.mistakes == 1


def test_sentences_are_bounded():
    """A program that raises a new type each time does not fill the log."""
    account = LeftOut()
    for number in range(1_000):
        error = type(f"Error{number}", (Exception,), {})()
        account.add("loss", Reason.UNREADABLE, error=error)

    assert len(account._unlogged) <= 200
    assert account.mistakes == 1_000


def test_every_remedy_has_its_reason():
    """Every lack of memory comes with a remedy."""
    assert {reason for _, reason in REMEDIES} <= set(Reason)
    for what in ("images", "batches", "scalars"):
        assert (what, Reason.MEMORY) in REMEDIES
