"""Orders: each is carried out at most once and answered exactly once."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import until_true

from bridge.client.commands import CUSTOM, PATIENCE_EPOCHS, Order, Orders
from bridge.protocol import CommandType


@pytest.fixture
def answers():
    """Return what has been answered: id, whether applied, remark."""
    return []


@pytest.fixture
def orders(answers):
    """Return orders that answer into `answers`."""
    return taking(answers)


def taking(answers) -> Orders:
    """Return orders that answer into a list."""
    return Orders(lambda order, applied, remark: answers.append((order.id, applied, remark)))


def order(type: CommandType, id: str = "a", **parameters: str) -> Order:
    """Return an order."""
    return Order(type, parameters, id)


def test_a_stop_is_answered_when_the_loop_hears_it(orders, answers):
    """Receiving is not applying: the answer says that the loop has asked; asking again adds nothing."""
    assert not orders.asked_to_stop()
    orders.receive(order(CommandType.STOP_TRAINING))
    assert (orders.stopping, answers) == (True, [])

    assert orders.asked_to_stop()
    assert orders.asked_to_stop()

    assert answers == [("a", True, "")]


def test_a_pause_is_answered_when_the_loop_hears_it(orders, answers):
    """And the order to resume ends it, and is answered at once."""
    assert not orders.is_paused()
    orders.receive(order(CommandType.PAUSE_TRAINING))
    assert answers == []
    assert orders.is_paused()
    assert answers == [("a", True, "")]

    orders.receive(order(CommandType.RESUME_TRAINING, "b"))

    assert not orders.is_paused()
    assert answers[1:] == [("b", True, "")]


def test_a_resume_without_a_pause_is_refused(orders, answers):
    """Nothing was changed, and the answer says why."""
    orders.receive(order(CommandType.RESUME_TRAINING))

    assert answers == [("a", False, "it was not paused")]


@pytest.mark.parametrize("second", [CommandType.PAUSE_TRAINING, CommandType.RESUME_TRAINING])
def test_a_pause_that_was_never_heard_is_refused(orders, answers, second):
    """An order that another one overtook was not applied."""
    orders.receive(order(CommandType.PAUSE_TRAINING))
    orders.receive(order(second, "b"))

    assert answers[0] == ("a", False, "another order came first")


def test_an_order_that_comes_twice_is_one_order(orders, answers):
    """A bridge repeats what may have been lost; the callback runs once, and the same answer goes back."""
    heard = []
    orders.on(
        CommandType.SAVE_CHECKPOINT, lambda told: heard.append(told) or f"number {len(heard)}"
    )
    for _ in range(3):
        orders.receive(order(CommandType.SAVE_CHECKPOINT))
        orders.run_waiting()

    assert len(heard) == 1
    assert answers == [("a", True, "number 1")] * 3


def test_an_order_that_comes_again_before_its_answer_is_answered_once(orders, answers):
    """What is still to be carried out needs no answer yet."""
    for _ in range(3):
        orders.receive(order(CommandType.STOP_TRAINING))
    assert orders.asked_to_stop()

    assert answers == [("a", True, "")]


def test_an_answer_on_its_way_is_not_given_again(answers):
    """The bridge gets it without that, and need not wonder about a second one."""
    owed = {"a"}
    orders = Orders(lambda order, *said: answers.append(said), is_owed=owed.__contains__)
    orders.receive(order(CommandType.SAVE_CHECKPOINT))
    orders.receive(order(CommandType.SAVE_CHECKPOINT))
    assert len(answers) == 1

    owed.clear()
    orders.receive(order(CommandType.SAVE_CHECKPOINT))
    assert len(answers) == 2


def test_orders_without_an_id_are_all_carried_out(orders):
    """An original bridge gives none, so nothing tells two of them apart."""
    heard = []
    orders.on(CommandType.ADJUST_BATCH_SIZE, heard.append)
    for size in ("8", "16"):
        orders.receive(order(CommandType.ADJUST_BATCH_SIZE, "", batch_size=size))
    orders.run_waiting()

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
def test_what_a_callback_says_is_the_answer(orders, answers, said, applied, remark):
    """False means no, a text is a remark, and everything else means yes."""
    orders.on(CommandType.CHANGE_LEARNING_RATE, lambda _: said)
    orders.receive(order(CommandType.CHANGE_LEARNING_RATE))
    assert answers == []

    orders.run_waiting()

    assert answers == [("a", applied, remark)]


def test_a_callback_that_raises_costs_only_its_own_order(orders, answers):
    """The error is told as type and message, and the orders behind it are carried out."""
    orders.on(CommandType.CHANGE_LEARNING_RATE, lambda told: float(told["learning_rate"]) and None)
    orders.receive(order(CommandType.CHANGE_LEARNING_RATE, "a"))
    orders.receive(order(CommandType.CHANGE_LEARNING_RATE, "b", learning_rate="0.5"))

    orders.run_waiting()

    assert answers == [("a", False, "KeyError: 'learning_rate'"), ("b", True, "")]


@pytest.mark.parametrize("type", sorted(CUSTOM))
def test_what_needs_a_callback_is_refused_without_one(orders, answers, type):
    """The answer names the order, and does not wait for the loop."""
    orders.receive(order(type))

    assert answers == [("a", False, f"this training loop does not take {type.name}")]


def test_a_stop_with_a_callback_is_answered_by_the_callback_alone(orders, answers):
    """The loop may also ask: it hears yes, and no second answer is given."""
    orders.on(CommandType.STOP_TRAINING, lambda _: "after this batch")
    orders.receive(order(CommandType.STOP_TRAINING))

    assert orders.asked_to_stop()
    orders.run_waiting()

    assert answers == [("a", True, "after this batch")]


def test_a_loop_that_never_asks_refuses(orders, answers):
    """Whoever gave the order learns after a few epochs that nobody listens."""
    orders.receive(order(CommandType.STOP_TRAINING))
    for _ in range(PATIENCE_EPOCHS - 1):
        orders.epoch_ended()
    assert answers == []

    orders.epoch_ended()
    orders.epoch_ended()

    assert answers == [("a", False, "this training loop does not ask for it")]


def test_what_is_left_at_the_end_is_refused(orders, answers):
    """Neither an order nobody asked about nor one whose callback never ran stays open."""
    orders.on(CommandType.SAVE_CHECKPOINT, lambda _: None)
    orders.receive(order(CommandType.STOP_TRAINING, "a"))
    orders.receive(order(CommandType.SAVE_CHECKPOINT, "b"))

    orders.close()
    orders.run_waiting()

    assert sorted(answers) == [
        ("a", False, "training was over before"),
        ("b", False, "training was over before"),
    ]


@pytest.mark.parametrize("last", [CommandType.RESUME_TRAINING, CommandType.STOP_TRAINING])
def test_a_waiting_loop_goes_on_when_ordered(orders, last):
    """An order to resume or to stop wakes it, from whichever thread it comes."""
    orders.receive(order(CommandType.PAUSE_TRAINING))
    loop = threading.Thread(target=orders.wait_while_paused, args=(lambda: False,), daemon=True)
    loop.start()
    assert loop.is_alive()

    orders.receive(order(last, "b"))

    until_true(lambda: not loop.is_alive(), what="the loop goes on")


def test_a_waiting_loop_goes_on_when_nobody_could_order_it(orders):
    """A bridge that is gone for good holds no training up, and the pause is over then."""
    orders.receive(order(CommandType.PAUSE_TRAINING))

    orders.wait_while_paused(lambda: True)

    assert not orders.is_paused()


def test_a_waiting_loop_still_carries_out_orders(orders, answers):
    """A checkpoint may be saved, in the loop's own thread, while training is paused."""
    threads = []
    orders.on(CommandType.SAVE_CHECKPOINT, lambda _: threads.append(threading.current_thread()))
    orders.receive(order(CommandType.PAUSE_TRAINING))
    loop = threading.Thread(target=orders.wait_while_paused, args=(lambda: False,), daemon=True)
    loop.start()

    orders.receive(order(CommandType.SAVE_CHECKPOINT, "b"))
    until_true(lambda: threads, what="the callback runs")
    orders.receive(order(CommandType.RESUME_TRAINING, "c"))
    until_true(lambda: not loop.is_alive(), what="the loop goes on")

    assert threads == [loop]
    assert ("b", True, "") in answers


STEPS = st.lists(
    st.sampled_from([*CommandType, "ask to stop", "ask for a pause", "run", "epoch", "repeat"]),
    max_size=30,
)


@settings(deadline=None)
@given(STEPS, st.sets(st.sampled_from(list(CommandType))))
def test_every_order_has_one_answer(steps, with_callback):
    """Whatever comes in whichever order, and whatever the loop asks for, when it is over."""
    answers, received = [], []
    orders = taking(answers)
    for listened in with_callback:
        orders.on(listened, lambda _: None)
    actions = {
        "ask to stop": orders.asked_to_stop,
        "ask for a pause": orders.is_paused,
        "run": orders.run_waiting,
        "epoch": orders.epoch_ended,
        "repeat": lambda: received and orders.receive(received[-1]),
    }
    for number, step in enumerate(steps):
        if isinstance(step, CommandType):
            received.append(order(step, str(number)))
            orders.receive(received[-1])
        else:
            actions[step]()
    orders.close()

    assert sorted(answer[0] for answer in set(answers)) == sorted(taken.id for taken in received)
