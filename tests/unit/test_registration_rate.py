"""How many sessions are new in a minute."""

import pytest

from bridge.errors import LimitError
from bridge.registration_rate import RegistrationRate


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self):
        """Return the time."""
        return self.now


def test_an_identity_does_not_use_up_what_others_need():
    """Each name has a share of its own; who has none is bound by what holds for all."""
    rate = RegistrationRate(in_all=5, each=2, monotonic=Clock())
    rate.claim("a")
    rate.claim("a")
    with pytest.raises(LimitError, match=r"by a .--max-new-sessions-per-token"):
        rate.claim("a")
    rate.claim("b")
    rate.claim("")
    rate.claim("")
    with pytest.raises(LimitError, match="--max-new-sessions-per-minute"):
        rate.claim("c")


def test_a_minute_later_there_is_room_again():
    """What was refused does not count, and names that have not registered for a minute are not kept."""
    clock = Clock()
    rate = RegistrationRate(in_all=10_000, each=1, monotonic=clock)
    for number in range(1_000):
        rate.claim(f"n{number}")
    with pytest.raises(LimitError):
        rate.claim("n0")
    clock.now = 60.0
    rate.claim("n0")
    assert len(rate._by_name) == 1
