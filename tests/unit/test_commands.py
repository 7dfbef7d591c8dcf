"""Orders and their answers."""

import pytest

from bridge.commands import KEPT_PER_SESSION, Commands, State
from bridge.errors import LimitError
from bridge.model import CommandResult, CommandType

PAUSE = CommandType.PAUSE_TRAINING


def test_an_order_goes_out_once_and_is_answered_once():
    """Queued, sent, applied; a second answer changes nothing."""
    commands = Commands()
    asked = commands.ask("run", PAUSE, {}, "c1")

    (sent,) = commands.take("run")
    answered = commands.answer("run", CommandResult("c1", True, "ok", 1, 2))

    assert [asked.state, sent.state, answered.state] == [State.QUEUED, State.SENT, State.APPLIED]
    assert commands.take("run") == []
    assert commands.answer("run", CommandResult("c1", False, "no", 1, 2)) is None
    assert commands.of("run") == [answered]


def test_asking_again_with_the_same_id_gives_no_second_order():
    """A retried request is harmless."""
    commands = Commands()

    assert commands.ask("run", PAUSE, {}, "c1") == commands.ask("run", PAUSE, {}, "c1")
    assert len(commands.take("run")) == 1


def test_the_newest_listener_hears_the_bell():
    """A stream that took over is rung; the one before is not, and cannot unhook it."""
    rung = []
    commands = Commands()

    def old() -> None:
        rung.append("old")

    def new() -> None:
        rung.append("new")

    commands.listen("run", old)
    commands.listen("run", new)
    commands.unlisten("run", old)
    commands.ask("run", PAUSE, {})

    assert rung == ["new"]


def test_a_bell_that_is_taken_off_rings_no_more():
    """A bound method is a new object each time it is looked up; it is taken off all the same."""

    class Listener:
        rung = 0

        def ring(self) -> None:
            self.rung += 1

    listener = Listener()
    commands = Commands()
    commands.listen("run", listener.ring)
    commands.unlisten("run", listener.ring)
    commands.ask("run", PAUSE, {})

    assert listener.rung == 0


def test_answers_to_nothing_are_ignored():
    """Neither an unknown order nor another session's is answered."""
    commands = Commands()
    commands.ask("run", PAUSE, {}, "c1")

    assert commands.answer("other", CommandResult("c1", True, "", 0, 0)) is None
    assert commands.answer("run", CommandResult("c2", True, "", 0, 0)) is None


def test_unanswered_orders_are_bounded():
    """The oldest answered order makes room; when none is answered the next is refused."""
    commands = Commands()
    for number in range(KEPT_PER_SESSION):
        commands.ask("run", PAUSE, {}, f"c{number}")

    with pytest.raises(LimitError):
        commands.ask("run", PAUSE, {})
    commands.answer("run", CommandResult("c5", False, "no", 0, 0))
    commands.ask("run", PAUSE, {}, "last")

    assert len(commands.of("run")) == KEPT_PER_SESSION
    commands.forget("run")
    assert commands.of("run") == []
