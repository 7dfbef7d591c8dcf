"""How often in a row attempts to connect came to nothing."""

from bridge.client.delivery.attempts import LONG_SECONDS, MAX_REASONS, Attempts


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self):
        return self.now


def test_an_attempt_that_delivers_nothing_has_failed():
    """However far it came; one that delivers something starts the count anew."""
    attempts = Attempts(Clock())
    for expected in (1, 2, 3):
        attempts.begin()
        attempts.end(has_worked=False)
        assert attempts.failures == expected

    attempts.end(has_worked=True)

    assert attempts.failures == 0


def test_a_connection_that_lasts_has_worked():
    """A loop that says nothing for minutes is not at fault, and neither is the bridge."""
    clock = Clock()
    attempts = Attempts(clock)
    attempts.end(has_worked=False)
    attempts.begin()
    clock.now += LONG_SECONDS

    attempts.end(has_worked=False)

    assert attempts.failures == 0


def test_each_reason_is_logged_once_until_a_connection_works_again():
    """And not more of them than somebody would read."""
    attempts = Attempts()
    assert attempts.is_new("refused")
    assert not attempts.is_new("refused")
    assert sum(attempts.is_new(str(number)) for number in range(50)) == MAX_REASONS - 1

    attempts.forget_reasons()

    assert attempts.is_new("refused")
