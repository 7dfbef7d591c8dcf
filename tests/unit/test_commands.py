"""Orders and their answers."""

from types import SimpleNamespace

import pytest

from bridge.commands import KEPT_PER_SESSION, Commands, State
from bridge.errors import InvalidDataError, LimitError
from bridge.model import (
    CommandAnswered,
    CommandAsked,
    CommandResult,
    CommandSent,
    Forgotten,
    Registered,
)
from bridge.protocol import CommandType
from bridge.storage.packed import packed, unpacked

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


def session(**parts):
    """Return what commands need to know of a session."""
    return SimpleNamespace(id="run", parts=parts)


def test_orders_outlive_the_bridge():
    """Queued, sent and answered ones come back as they were; what never went out still will."""
    commands = Commands()
    for name in ("queued", "sent", "answered"):
        commands.ask("run", PAUSE, {"why": name}, name)
    commands.take("run")
    commands.answer("run", CommandResult("answered", True, "ok", 1, 2))
    commands.ask("run", CommandType.STOP_TRAINING, {}, "late")

    again = Commands()
    state = unpacked(packed(commands.snapshot(session())))
    again.replay(session(commands=state), Registered(), 0.0)

    assert again.of("run") == commands.of("run")
    assert [command.id for command in again.take("run")] == ["late"]
    assert commands.snapshot(SimpleNamespace(id="other", parts={})) is None


def test_a_replay_brings_orders_as_far_as_they_had_come():
    """Events of the journal do to orders what happened to them."""
    commands = Commands()
    for event in (
        CommandAsked("a", PAUSE, {}),
        CommandAsked("b", PAUSE, {}),
        CommandAsked("c", PAUSE, {}),
        CommandSent("a", PAUSE, {}),
        CommandSent("b", PAUSE, {}),
        CommandAnswered(PAUSE, CommandResult("a", False, "no", 0, 0)),
    ):
        commands.replay(session(), event, 5.0)

    states = [(command.id, command.state) for command in commands.of("run")]
    assert states == [("a", State.REFUSED), ("b", State.SENT), ("c", State.QUEUED)]
    commands.send_again("run")
    assert [command.id for command in commands.take("run")] == ["b", "c"]
    commands.replay(session(), Forgotten(), 6.0)
    assert commands.of("run") == []


BAD_RATES = ("", "nan", "NaN", "inf", "Infinity", "-Infinity", "-1", "0", "0.0", "-0", "1e400", "1e-400", "x", "1_0", " 1", "1 ", "0x1p3", "\N{ARABIC-INDIC DIGIT ONE}", "1,5", "1e", ".", "+")  # fmt: skip
BAD_SIZES = ("", "nan", "Infinity", "-1", "0", "00", "1.5", "64.0", "1e2", "+1", "2147483648", "9" * 200, "1_0", " 1", "\N{ARABIC-INDIC DIGIT ONE}", "x", "true")  # fmt: skip


@pytest.mark.parametrize(
    ("type", "name", "value"),
    [
        *((CommandType.CHANGE_LEARNING_RATE, "learning_rate", value) for value in BAD_RATES),
        *((CommandType.ADJUST_BATCH_SIZE, "batch_size", value) for value in BAD_SIZES),
    ],
)
def test_what_no_loop_can_use_is_no_command(type, name, value):
    """A learning rate is finite and above 0, a batch size a whole number from 1; the refusal says so, and nothing waits."""
    commands = Commands()

    for parameters in ({name: value}, {}, {"other": "1"}):
        with pytest.raises(InvalidDataError, match=f"{name} must be a"):
            commands.ask("run", type, parameters)
    assert commands.take("run") == []


@pytest.mark.parametrize(
    ("type", "parameters"),
    [
        (CommandType.CHANGE_LEARNING_RATE, {"learning_rate": value})
        for value in ("0.0003", "3e-4", "1E5", ".5", "5.", "1", "+0.1", "1e-300", "1e300")
    ]
    + [
        (CommandType.ADJUST_BATCH_SIZE, {"batch_size": value})
        for value in ("1", "64", "007", "2147483647")
    ]
    + [(CommandType.PAUSE_TRAINING, {}), (CommandType.SAVE_CHECKPOINT, {"learning_rate": "x"})],
)
def test_what_a_loop_can_use_is_taken(type, parameters):
    """Every way to write such a number, and other commands whatever they carry."""
    assert Commands().ask("run", type, parameters).parameters == parameters
