"""Commands and their answers."""

from types import SimpleNamespace

import pytest

from bridge.commands import KEPT_PER_SESSION, Commands, State
from bridge.errors import InvalidDataError, LimitError
from bridge.lifecycle import CommandAnswered, CommandQueued, CommandSent, Expired, Registered
from bridge.model import CommandResult
from bridge.protocol import CommandType
from bridge.storage.packed import packed, unpacked

PAUSE = CommandType.PAUSE_TRAINING


def test_a_command_goes_out_once_and_is_answered_once():
    """Queued, sent, applied; a second answer changes nothing."""
    commands = Commands()
    queued = commands.submit("run", PAUSE, {}, "c1")

    (sent,) = commands.take("run")
    answered = commands.answer("run", CommandResult("c1", True, "ok", 1, 2))

    assert [queued.state, sent.state, answered.state] == [State.QUEUED, State.SENT, State.APPLIED]
    assert commands.take("run") == []
    assert commands.answer("run", CommandResult("c1", False, "no", 1, 2)) is None
    assert commands.of("run") == [answered]


def test_submitting_the_same_id_again_queues_no_second_command():
    """A retried request is harmless."""
    commands = Commands()

    assert commands.submit("run", PAUSE, {}, "c1") == commands.submit("run", PAUSE, {}, "c1")
    assert len(commands.take("run")) == 1


def test_who_sent_a_command_and_when_it_was_answered_outlive_the_process():
    """A restart forgets neither, whether it reads a checkpoint or the journal."""
    now = SimpleNamespace(time=5.0)
    commands = Commands(clock=lambda: now.time)
    session = SimpleNamespace(id="run", restored_state={})
    commands.submit("run", PAUSE, {}, "c1", "alert TrainingDiverging")
    commands.submit("run", PAUSE, {}, "c2")
    commands.answer("run", CommandResult("c1", True, "ok", 1, 2), 9.0)

    session.restored_state["commands"] = unpacked(packed(commands.snapshot(session)))
    restored, replayed = Commands(), Commands()
    restored.replay(session, Registered(), 20.0)
    replayed.replay(session, CommandQueued("c1", PAUSE, {}, "alert TrainingDiverging"), 5.0)
    replayed.replay(session, CommandAnswered(PAUSE, CommandResult("c1", True, "ok", 1, 2)), 9.0)

    assert restored.of("run") == commands.of("run")
    assert replayed.of("run") == commands.of("run")[:1]
    first, second = restored.of("run")
    assert (first.source, first.answered_at) == ("alert TrainingDiverging", 9.0)
    assert (second.source, second.answered_at) == ("", 0.0)


def test_the_newest_subscriber_is_called():
    """A stream that took over is called; the one before is not, and cannot unsubscribe it."""
    called = []
    commands = Commands()

    def old() -> None:
        called.append("old")

    def new() -> None:
        called.append("new")

    commands.subscribe("run", old)
    commands.subscribe("run", new)
    commands.unsubscribe("run", old)
    commands.submit("run", PAUSE, {})

    assert called == ["new"]


def test_an_unsubscribed_callback_is_not_called():
    """A bound method is a new object each time it is looked up; it is unsubscribed all the same."""

    class Subscriber:
        called = 0

        def on_available(self) -> None:
            self.called += 1

    subscriber = Subscriber()
    commands = Commands()
    commands.subscribe("run", subscriber.on_available)
    commands.unsubscribe("run", subscriber.on_available)
    commands.submit("run", PAUSE, {})

    assert subscriber.called == 0


def test_answers_to_nothing_are_ignored():
    """Neither an unknown command nor another session's is answered."""
    commands = Commands()
    commands.submit("run", PAUSE, {}, "c1")

    assert commands.answer("other", CommandResult("c1", True, "", 0, 0)) is None
    assert commands.answer("run", CommandResult("c2", True, "", 0, 0)) is None


def test_unanswered_commands_are_bounded():
    """The oldest answered command makes room; when none is answered the next is refused."""
    commands = Commands()
    for number in range(KEPT_PER_SESSION):
        commands.submit("run", PAUSE, {}, f"c{number}")

    with pytest.raises(LimitError):
        commands.submit("run", PAUSE, {})
    commands.answer("run", CommandResult("c5", False, "no", 0, 0))
    commands.submit("run", PAUSE, {}, "last")

    assert len(commands.of("run")) == KEPT_PER_SESSION
    commands.discard("run")
    assert commands.of("run") == []


def session(**restored_state):
    """Return what commands need to know of a session."""
    return SimpleNamespace(id="run", restored_state=restored_state)


def test_commands_outlive_the_bridge():
    """Queued, sent and answered ones come back as they were; what never went out still will."""
    commands = Commands()
    for name in ("queued", "sent", "answered"):
        commands.submit("run", PAUSE, {"why": name}, name)
    commands.take("run")
    commands.answer("run", CommandResult("answered", True, "ok", 1, 2))
    commands.submit("run", CommandType.STOP_TRAINING, {}, "late")

    again = Commands()
    state = unpacked(packed(commands.snapshot(session())))
    again.replay(session(commands=state), Registered(), 0.0)

    assert again.of("run") == commands.of("run")
    assert [command.id for command in again.take("run")] == ["late"]
    assert commands.snapshot(SimpleNamespace(id="other", restored_state={})) is None


def test_a_replay_brings_commands_as_far_as_they_had_come():
    """Events of the journal bring the commands back to where they were."""
    commands = Commands()
    for event in (
        CommandQueued("a", PAUSE, {}),
        CommandQueued("b", PAUSE, {}),
        CommandQueued("c", PAUSE, {}),
        CommandSent("a", PAUSE, {}),
        CommandSent("b", PAUSE, {}),
        CommandAnswered(PAUSE, CommandResult("a", False, "no", 0, 0)),
    ):
        commands.replay(session(), event, 5.0)

    states = [(command.id, command.state) for command in commands.of("run")]
    assert states == [("a", State.REFUSED), ("b", State.SENT), ("c", State.QUEUED)]
    commands.requeue_unanswered("run")
    assert [command.id for command in commands.take("run")] == ["b", "c"]
    commands.replay(session(), Expired(), 6.0)
    assert commands.of("run") == []


BAD_RATES = ("", "nan", "NaN", "inf", "Infinity", "-Infinity", "-1", "0", "0.0", "-0", "1e400", "1e-400", "x", "1_0", " 1", "1 ", "0x1p3", "\N{ARABIC-INDIC DIGIT ONE}", "1,5", "1e", ".", "+")  # fmt: skip  # a list of values
BAD_SIZES = ("", "nan", "Infinity", "-1", "0", "00", "1.5", "64.0", "1e2", "+1", "2147483648", "9" * 200, "1_0", " 1", "\N{ARABIC-INDIC DIGIT ONE}", "x", "true")  # fmt: skip  # a list of values


@pytest.mark.parametrize(
    ("type", "name", "value"),
    [
        *((CommandType.CHANGE_LEARNING_RATE, "learning_rate", value) for value in BAD_RATES),
        *((CommandType.ADJUST_BATCH_SIZE, "batch_size", value) for value in BAD_SIZES),
    ],
)
def test_what_no_loop_can_use_is_not_a_command(type, name, value):
    """A learning rate is finite and above 0, a batch size a whole number from 1; the refusal says so, and nothing waits."""
    commands = Commands()

    for parameters in ({name: value}, {}, {"other": "1"}):
        with pytest.raises(InvalidDataError, match=f"{name} must be a"):
            commands.submit("run", type, parameters)
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
    assert Commands().submit("run", type, parameters).parameters == parameters


class Clock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def test_a_command_whose_time_is_over_is_never_sent():
    """It waited for a stream that did not come: neither the next stream nor a restart carries it out."""
    clock = Clock()
    commands = Commands(clock=clock)
    commands.submit("run", PAUSE, {}, "c1", expires_at=1_060.0)
    clock.now = 1_060.0
    assert commands.take("run") == []
    (expired,) = commands.of("run")
    assert (expired.state, expired.was_sent) == (State.EXPIRED, False)

    restored = Commands(clock=clock)
    restored.replay(session(), CommandQueued("c1", PAUSE, {}, expires_at=1_060.0), 1_000.0)
    assert restored.take("run") == []
    assert restored.of("run") == [expired]


def test_a_command_that_was_sent_and_has_expired_is_not_sent_again():
    """A broken stream does not queue it again; an answer that still comes is the truth."""
    clock = Clock()
    commands = Commands(clock=clock)
    commands.submit("run", PAUSE, {}, "c1", expires_at=1_060.0)
    commands.take("run")
    clock.now = 1_100.0
    commands.requeue_unanswered("run")
    assert commands.take("run") == []
    assert commands.find("run", "c1").was_sent

    answered = commands.answer("run", CommandResult("c1", True, "late", 1, 2))
    assert (answered.state, answered.answered_at) == (State.APPLIED, 1_100.0)
    assert commands.find("run", "c1").state is State.APPLIED


def test_an_expired_command_stays_expired_in_a_checkpoint():
    """Whatever the clock says after a restart; older checkpoints have commands without a time."""
    clock = Clock()
    commands = Commands(clock=clock)
    commands.submit("run", PAUSE, {}, "c1", "person at 10.0.0.7", expires_at=1_060.0)
    commands.submit("run", PAUSE, {}, "c2")
    clock.now = 1_100.0
    rows = unpacked(packed(commands.snapshot(session())))

    restored = Commands(clock=lambda: 0.0)
    restored.replay(session(commands=rows), Registered(), 0.0)
    assert restored.of("run") == commands.of("run")
    assert [one.id for one in restored.take("run")] == ["c2"]


def test_expired_commands_make_room():
    """A session that is away for long may still be sent new ones."""
    clock = Clock()
    commands = Commands(clock=clock)
    for number in range(KEPT_PER_SESSION):
        commands.submit("run", PAUSE, {}, f"c{number}", expires_at=1_060.0)
    clock.now = 1_100.0

    commands.of("run")
    assert commands.submit("run", PAUSE, {}, "new").state is State.QUEUED


def test_an_answer_to_a_command_that_was_queued_anew_stays():
    """When its stream broke the answer was on its way: the command is not sent again, and stays answered."""
    commands = Commands()
    commands.submit("run", PAUSE, {}, "c1")
    commands.take("run")
    commands.requeue_unanswered("run")

    answered = commands.answer("run", CommandResult("c1", True, "ok", 1, 2))

    assert commands.take("run") == []
    assert commands.of("run") == [answered]
    assert answered.state is State.APPLIED


def test_a_journal_in_which_an_answered_command_was_sent_again_is_read():
    """Older bridges wrote it so: the answer counts."""
    commands, session = Commands(), SimpleNamespace(id="run", restored_state={})
    answer = CommandAnswered(PAUSE, CommandResult("c1", True, "ok", 1, 2))
    for event in (
        CommandQueued("c1", PAUSE, {}),
        CommandSent("c1", PAUSE, {}),
        answer,
        CommandSent("c1", PAUSE, {}),
    ):
        commands.replay(session, event, 5.0)

    assert [command.state for command in commands.of("run")] == [State.APPLIED]
