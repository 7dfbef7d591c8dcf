"""Commands: each is carried out at most once and answered exactly once."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import until_true

from bridge.client.command import CUSTOM, Command
from bridge.client.commands import PATIENCE_EPOCHS, PATIENCE_SECONDS, PATIENCE_STEPS, CommandInbox
from bridge.protocol import CommandType


@pytest.fixture
def answers():
    """Return what has been answered: id, whether applied, remark."""
    return []


@pytest.fixture
def commands(answers):
    """Return an inbox that answers into `answers`."""
    return taking(answers)


def taking(answers) -> CommandInbox:
    """Return an inbox that answers into a list."""
    return CommandInbox(
        lambda command, applied, remark: answers.append((command.id, applied, remark))
    )


def command(type: CommandType, id: str = "a", **parameters: str) -> Command:
    """Return a command."""
    return Command(type, parameters, id)


def test_a_stop_is_answered_when_the_loop_hears_it(commands, answers):
    """Receiving is not applying: the answer says that the loop has asked; asking again adds nothing."""
    assert not commands.acknowledge_stop()
    commands.receive(command(CommandType.STOP_TRAINING))
    assert (commands.is_stopping, answers) == (True, [])

    assert commands.acknowledge_stop()
    assert commands.acknowledge_stop()

    assert answers == [("a", True, "")]


def test_a_pause_is_answered_when_the_loop_hears_it(commands, answers):
    """And the command to resume ends it, and is answered at once."""
    assert not commands.acknowledge_pause()
    commands.receive(command(CommandType.PAUSE_TRAINING))
    assert answers == []
    assert commands.acknowledge_pause()
    assert answers == [("a", True, "")]

    commands.receive(command(CommandType.RESUME_TRAINING, "b"))

    assert not commands.acknowledge_pause()
    assert answers[1:] == [("b", True, "")]


def test_a_resume_without_a_pause_is_refused(commands, answers):
    """Nothing was changed, and the answer says why."""
    commands.receive(command(CommandType.RESUME_TRAINING))

    assert answers == [("a", False, "training was not paused")]


@pytest.mark.parametrize("second", [CommandType.PAUSE_TRAINING, CommandType.RESUME_TRAINING])
def test_a_pause_that_was_never_heard_is_refused(commands, answers, second):
    """A command that another one overtook was not applied."""
    commands.receive(command(CommandType.PAUSE_TRAINING))
    commands.receive(command(second, "b"))

    assert answers[0] == ("a", False, "another command came first")


def test_a_command_that_comes_twice_is_one_order(commands, answers):
    """A bridge repeats what may have been lost; the callback runs once, and the same answer goes back."""
    heard = []
    commands.on(
        CommandType.SAVE_CHECKPOINT,
        lambda parameters: heard.append(parameters) or f"number {len(heard)}",
    )
    for _ in range(3):
        commands.receive(command(CommandType.SAVE_CHECKPOINT))
        commands.run_callbacks()

    assert len(heard) == 1
    assert answers == [("a", True, "number 1")] * 3


def test_a_command_that_comes_again_before_its_answer_is_answered_once(commands, answers):
    """What is still to be carried out needs no answer yet."""
    for _ in range(3):
        commands.receive(command(CommandType.STOP_TRAINING))
    assert commands.acknowledge_stop()

    assert answers == [("a", True, "")]


def test_an_answer_on_its_way_is_not_given_again(answers):
    """The bridge gets it without that, and need not wonder about a second one."""
    owed = {"a"}
    commands = CommandInbox(
        lambda command, *answer: answers.append(answer), is_answer_pending=owed.__contains__
    )
    commands.receive(command(CommandType.SAVE_CHECKPOINT))
    commands.receive(command(CommandType.SAVE_CHECKPOINT))
    assert len(answers) == 1

    owed.clear()
    commands.receive(command(CommandType.SAVE_CHECKPOINT))
    assert len(answers) == 2


def test_commands_without_an_id_are_all_carried_out(commands):
    """An original bridge gives none, so two of them cannot be distinguished."""
    heard = []
    commands.on(CommandType.ADJUST_BATCH_SIZE, heard.append)
    for size in ("8", "16"):
        commands.receive(command(CommandType.ADJUST_BATCH_SIZE, "", batch_size=size))
    commands.run_callbacks()

    assert heard == [{"batch_size": "8"}, {"batch_size": "16"}]


@pytest.mark.parametrize(
    ("said", "applied", "remark"),
    [
        (None, True, ""),
        (True, True, ""),
        (False, False, ""),
        ("at the next epoch", True, "at the next epoch"),
        ("", True, ""),
    ],
)
def test_what_a_callback_says_is_the_answer(commands, answers, said, applied, remark):
    """False means no, a text is a remark, and everything else means yes."""
    commands.on(CommandType.CHANGE_LEARNING_RATE, lambda _: said)
    commands.receive(command(CommandType.CHANGE_LEARNING_RATE))
    assert answers == []

    commands.run_callbacks()

    assert answers == [("a", applied, remark)]


def test_a_callback_that_raises_costs_only_its_own_order(commands, answers):
    """The error goes back as type and message, and the commands behind it are carried out."""
    commands.on(
        CommandType.CHANGE_LEARNING_RATE,
        lambda parameters: float(parameters["learning_rate"]) and None,
    )
    commands.receive(command(CommandType.CHANGE_LEARNING_RATE, "a"))
    commands.receive(command(CommandType.CHANGE_LEARNING_RATE, "b", learning_rate="0.5"))

    commands.run_callbacks()

    assert answers == [("a", False, "KeyError: 'learning_rate'"), ("b", True, "")]


@pytest.mark.parametrize("type", sorted(CUSTOM))
def test_what_needs_a_callback_is_refused_without_one(commands, answers, type):
    """The answer names the command, and does not wait for the loop."""
    commands.receive(command(type))

    assert answers == [("a", False, f"this training loop does not take {type.name}")]


def test_a_stop_with_a_callback_is_answered_by_the_callback_alone(commands, answers):
    """The loop may also ask: it hears yes, and no second answer is given."""
    commands.on(CommandType.STOP_TRAINING, lambda _: "after this batch")
    commands.receive(command(CommandType.STOP_TRAINING))

    assert commands.acknowledge_stop()
    commands.run_callbacks()

    assert answers == [("a", True, "after this batch")]


def test_a_loop_that_never_asks_refuses(commands, answers):
    """Whoever sent the command learns after a few epochs that nobody listens."""
    commands.receive(command(CommandType.STOP_TRAINING))
    for _ in range(PATIENCE_EPOCHS - 1):
        commands.end_epoch()
    assert answers == []

    commands.end_epoch()
    commands.end_epoch()

    assert answers == [("a", False, "this training loop does not support this command")]


@pytest.mark.parametrize("type", [CommandType.STOP_TRAINING, CommandType.PAUSE_TRAINING])
def test_a_loop_without_epochs_that_never_asks_refuses(commands, answers, type):
    """After many steps and some minutes; it does not obey later what was refused."""
    asked = command(type)
    commands.receive(asked)
    for _ in range(PATIENCE_STEPS):
        commands.at_step()
    assert answers == []

    asked.waits_since -= PATIENCE_SECONDS
    commands.at_step()

    assert answers == [("a", False, "this training loop does not support this command")]
    assert not commands.acknowledge_stop()
    assert not commands.acknowledge_pause()
    assert not commands.waiting


def test_a_loop_with_epochs_is_given_its_epochs_however_many_steps_they_have(answers):
    """It may look at the end of one."""
    commands = CommandInbox(
        lambda command, *answer: answers.append(answer), position=lambda: (0, 5, None)
    )
    asked = command(CommandType.STOP_TRAINING)
    commands.receive(asked)
    for _ in range(PATIENCE_STEPS):
        commands.at_step()
    asked.waits_since -= PATIENCE_SECONDS
    commands.at_step()

    assert answers == []
    assert commands.acknowledge_stop()


def test_before_the_first_step_a_callback_may_still_come(answers):
    """A command that was ready as the session connected is not refused too early."""
    place = [(None, None, None)]
    commands = CommandInbox(
        lambda command, *answer: answers.append(answer), position=lambda: place[0]
    )
    commands.receive(command(CommandType.SAVE_CHECKPOINT, "a"))
    commands.receive(command(CommandType.ADJUST_BATCH_SIZE, "b"))
    assert answers == []

    commands.on(CommandType.SAVE_CHECKPOINT, lambda _: "saved")
    place[0] = (0, 0, None)
    commands.at_step()

    assert answers == [
        (True, "saved"),
        (False, "this training loop does not take ADJUST_BATCH_SIZE"),
    ]


def test_a_callback_that_the_program_is_ended_in_is_answered(commands, answers):
    """Ctrl-C there is the program's, and reaches it."""

    def interrupted(_):
        raise KeyboardInterrupt

    commands.on(CommandType.SAVE_CHECKPOINT, interrupted)
    commands.receive(command(CommandType.SAVE_CHECKPOINT))
    with pytest.raises(KeyboardInterrupt):
        commands.at_step()

    assert answers == [("a", False, "KeyboardInterrupt: ")]


def test_what_is_left_at_the_end_is_refused(commands, answers):
    """Neither a command nobody asked about nor one whose callback never ran stays open."""
    commands.on(CommandType.SAVE_CHECKPOINT, lambda _: None)
    commands.receive(command(CommandType.STOP_TRAINING, "a"))
    commands.receive(command(CommandType.SAVE_CHECKPOINT, "b"))

    commands.close()
    commands.run_callbacks()

    assert sorted(answers) == [
        ("a", False, "training ended first"),
        ("b", False, "training ended first"),
    ]


@pytest.mark.parametrize("last", [CommandType.RESUME_TRAINING, CommandType.STOP_TRAINING])
def test_a_waiting_loop_goes_on_at_a_command(commands, last):
    """A command to resume or to stop wakes it, from whichever thread it comes."""
    commands.receive(command(CommandType.PAUSE_TRAINING))
    loop = threading.Thread(target=commands.wait_while_paused, args=(lambda: False,), daemon=True)
    loop.start()
    assert loop.is_alive()

    commands.receive(command(last, "b"))

    until_true(lambda: not loop.is_alive(), what="the loop goes on")


def test_a_waiting_loop_goes_on_when_nobody_could_resume_it(commands):
    """A bridge that is gone for good holds no training up, and the pause is over then."""
    commands.receive(command(CommandType.PAUSE_TRAINING))

    commands.wait_while_paused(lambda: True)

    assert not commands.acknowledge_pause()


def test_a_waiting_loop_still_carries_out_commands(commands, answers):
    """A checkpoint may be saved, in the loop's own thread, while training is paused."""
    threads = []
    commands.on(CommandType.SAVE_CHECKPOINT, lambda _: threads.append(threading.current_thread()))
    commands.receive(command(CommandType.PAUSE_TRAINING))
    loop = threading.Thread(target=commands.wait_while_paused, args=(lambda: False,), daemon=True)
    loop.start()

    commands.receive(command(CommandType.SAVE_CHECKPOINT, "b"))
    until_true(lambda: threads, what="the callback runs")
    commands.receive(command(CommandType.RESUME_TRAINING, "c"))
    until_true(lambda: not loop.is_alive(), what="the loop goes on")

    assert threads == [loop]
    assert ("b", True, "") in answers


STEPS = st.lists(
    st.sampled_from(
        [*CommandType, "ask to stop", "ask for a pause", "run", "step", "epoch", "repeat"]
    ),
    max_size=30,
)


@settings(deadline=None)
@given(STEPS, st.sets(st.sampled_from(list(CommandType))))
def test_every_command_has_one_answer(steps, with_callback):
    """Whatever comes in whichever sequence, and whatever the loop asks for, when it is over."""
    answers, received = [], []
    commands = taking(answers)
    for listened in with_callback:
        commands.on(listened, lambda _: None)
    actions = {
        "ask to stop": commands.acknowledge_stop,
        "ask for a pause": commands.acknowledge_pause,
        "run": commands.run_callbacks,
        "step": commands.at_step,
        "epoch": commands.end_epoch,
        "repeat": lambda: received and commands.receive(received[-1]),
    }
    for number, step in enumerate(steps):
        if isinstance(step, CommandType):
            received.append(command(step, str(number)))
            commands.receive(received[-1])
        else:
            actions[step]()
    commands.close()

    assert sorted(answer[0] for answer in set(answers)) == sorted(taken.id for taken in received)
