"""Orders from the bridge, and what the training loop makes of them."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import described
from bridge.protocol import CommandType

Callback = Callable[[Mapping[str, str]], bool | str | None]
"""Takes the parameters of an order; says False for no, a text for yes with a remark, else yes."""

Answer = Callable[["Order", bool, str], None]
"""Takes an order, whether it was applied, and a remark."""

PATIENCE_EPOCHS = 2
"""An order that the loop does not ask about for so many ends of epochs is refused."""

REMEMBERED = 100
"""So many of the last orders are known again when they are repeated."""

LOOK_SECONDS = 0.2
"""How often a loop that waits looks at its other orders."""

CUSTOM = {
    CommandType.ADJUST_BATCH_SIZE,
    CommandType.CHANGE_LEARNING_RATE,
    CommandType.SAVE_CHECKPOINT,
}
"""Orders that only the loop's own callback can carry out."""


@dataclass(slots=True, eq=False)
class Order:
    """One order."""

    type: CommandType
    parameters: Mapping[str, str]
    id: str = ""
    epochs_waited: int = 0
    said: tuple[bool, str] | None = None
    """What it was answered: applied or not, and a remark."""
    at: tuple[Any, Any] | None = None
    """Epoch and batch of that answer."""


class Orders:
    """Takes orders from the connection's thread and hands them to the loop's, between two batches."""

    def __init__(
        self, answer: Answer, *, is_owed: Callable[[str], bool] = lambda _order_id: False
    ) -> None:
        """Start with none.

        `answer` is called once for each order, and again for one that comes again, unless `is_owed` tells
        that its answer has not reached the bridge yet: that one will, by itself.
        """
        self._answer = answer
        self._is_owed = is_owed
        self._callbacks: dict[CommandType, Callback] = {}
        self._seen: deque[Order] = deque(maxlen=REMEMBERED)
        self._change = threading.Condition()
        self._stop: Order | None = None
        self._pause: Order | None = None
        self._unanswered: list[Order] = []
        self.waiting: deque[Order] = deque()
        """Orders whose callback is to run; the loop looks at its truth at every batch."""
        self.stopping = False
        """The loop has been told to stop."""

    def on(self, type: CommandType, callback: Callback) -> None:
        """Call `callback` with the parameters of every order of this type, in the loop's thread."""
        self._callbacks[type] = callback

    def receive(self, order: Order) -> None:
        """Take an order; one that has been taken before is not carried out again, but answered again."""
        before = next((seen for seen in self._seen if order.id and seen.id == order.id), None)
        if before is not None:
            if before.said is not None and not self._is_owed(order.id):
                self._answer(before, *before.said)
            return
        self._seen.append(order)
        with self._change:
            self._receive(order)
            self._change.notify_all()

    def run_waiting(self) -> None:
        """Carry out the orders that have callbacks; runs in the loop's thread, and never raises."""
        while self.waiting:
            order = self.waiting.popleft()
            try:
                said = self._callbacks[order.type](order.parameters)
            except BaseException as error:  # noqa: BLE001 -- a callback's fault is an answer, not an end
                self._say(order, False, described(error))
                let_through(error)
                continue
            self._say(order, said is not False, said if isinstance(said, str) else "")

    def asked_to_stop(self) -> bool:
        """Tell the loop whether it should stop; hearing yes is the answer to the order."""
        if self.stopping:
            self._settle(self._stop, applied=True)
        return self.stopping

    def is_paused(self) -> bool:
        """Tell whether the loop should wait; hearing yes is the answer to the order."""
        order = self._pause
        if order is not None:
            self._settle(order, applied=True)
        return order is not None

    def wait_while_paused(
        self, is_useless: Callable[[], bool], is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Wait until training may go on, nobody is left who could say so, or the wait is over."""
        while self._pause is not None and not self.stopping and not is_useless() and not is_over():
            self.run_waiting()
            with self._change:
                if self._pause is not None and not self.stopping:
                    self._change.wait(LOOK_SECONDS)
        if is_useless():
            self._pause = None

    def epoch_ended(self) -> None:
        """Refuse what the loop has had the time to ask about and has not."""
        for order in tuple(self._unanswered):
            order.epochs_waited += 1
            if order.epochs_waited >= PATIENCE_EPOCHS:
                self._settle(order, applied=False, remark="this training loop does not ask for it")

    def close(self) -> None:
        """Refuse what is left: the loop is over."""
        with self._change:
            self._unanswered += self.waiting
            self.waiting.clear()
            self._pause = None
            self._change.notify_all()
        for order in tuple(self._unanswered):
            self._settle(order, applied=False, remark="training was over before")

    def _receive(self, order: Order) -> None:
        has_callback = order.type in self._callbacks
        if has_callback:
            self.waiting.append(order)
        elif order.type in CUSTOM:
            self._say(order, False, f"this training loop does not take {order.type.name}")
        else:
            self._unanswered.append(order)
        if order.type is CommandType.STOP_TRAINING:
            self._stop = order
            self.stopping = True
        elif order.type is CommandType.PAUSE_TRAINING:
            self._replace_pause(order)
        elif order.type is CommandType.RESUME_TRAINING:
            is_paused = self._pause is not None
            self._replace_pause(None)
            self._settle(order, applied=is_paused, remark="" if is_paused else "it was not paused")

    def _say(self, order: Order, applied: bool, remark: str) -> None:  # noqa: FBT001
        order.said = (applied, remark)
        self._answer(order, applied, remark)

    def _replace_pause(self, order: Order | None) -> None:
        if self._pause is not None:
            self._settle(self._pause, applied=False, remark="another order came first")
        self._pause = order

    def _settle(self, order: Order | None, *, applied: bool, remark: str = "") -> None:
        """Answer an order that has not been answered, and that no callback will answer."""
        if order is None:
            return
        try:
            self._unanswered.remove(order)
        except ValueError:
            return
        self._say(order, applied, remark)
