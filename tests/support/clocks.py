"""A clock that a test turns."""


class Hands:
    """Returns its time, in seconds, until the test turns it."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def turn(self, seconds):
        self.now += seconds
