"""What a value raises costs that value; what the program raises goes through the SDK."""

import functools
import signal
import sys
import threading

import pytest

from bridge.client.encoding.isolation import fault_from, is_from_signal_handler, let_through

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")


class LateError(Exception):
    """What handlers raise here."""


def raising(*_arguments):
    """Raise as a plain function."""
    raise LateError


def indirectly(number, frame):
    """Raise from a function that the handler calls."""
    raising()


def once(number, frame):
    """Raise, and be no handler any more by then."""
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    raising()


class Alarm:
    """Raises from a method, or when called."""

    def method(self, number, frame):
        raise LateError

    def __call__(self, number, frame):
        raise LateError


HANDLERS = {
    "a function": raising,
    "a lambda": lambda *_: raising(),
    "another function": indirectly,
    "a method": Alarm().method,
    "an object": Alarm(),
    "a partial": functools.partial(raising, 1),
    "one that takes itself away": once,
}


def caught(act):
    """Return what is raised."""
    try:
        act()
    except BaseException as error:  # noqa: BLE001 -- whatever it is
        return error
    raise AssertionError


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_what_a_handler_raises_goes_through(handler):
    """However the handler is written."""
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        error = caught(lambda: signal.raise_signal(signal.SIGUSR1))
        assert is_from_signal_handler(error)
        for handle in (let_through, fault_from):
            with pytest.raises(LateError):
                handle(error)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_what_ends_a_program_goes_through(error):
    """In whichever thread the loop runs."""
    with pytest.raises(type(error)):
        let_through(error)


def test_what_a_value_raises_does_not():
    """Also where the program has handlers, and where the value looks at its caller."""

    class Value:
        def __float__(self):
            frame = sys._getframe(1)
            raise LateError(frame)

    before = signal.signal(signal.SIGUSR1, raising)
    try:
        error = caught(lambda: float(Value()))
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert not is_from_signal_handler(error)
    assert let_through(error) is None
    assert fault_from(error) is error


def test_other_threads_run_no_handlers():
    """What looks like one there is a value's."""
    seen = []

    def act():
        def like_a_handler(number, frame):
            raise LateError

        seen.append(is_from_signal_handler(caught(lambda: like_a_handler(1, sys._getframe()))))

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()

    assert seen == [False]
