"""A run that took several attempts, for tests of what pages and the API show of it."""

from bridge.lifecycle import Connected, Ended
from bridge.model import Batch, Client, Config, Epoch, Stage, Status, StatusChange
from bridge.session import Session

HOUR = 3600.0


def attempt(number, *epochs, name="run-1", began=0.0, batches=10, loss=1.0, status=None):
    """Return an attempt that has trained some epochs, a batch a second; without a status nobody saw its end."""
    config = Config(total_epochs=6, batches_per_epoch=batches, class_names=("cat", "dog"))
    session = Session(name, Client("tests", "1"), config, now=began, attempt=number)
    session.apply(Connected(), began)
    at = began
    for epoch in epochs:
        for batch in range(batches):
            at += 1.0
            session.apply(Batch(epoch, batch, loss), at)
        session.apply(Epoch(epoch, loss), at)
        session.updated_at = at
    if status is not None:
        session.apply(StatusChange(status), at)
        session.apply(Ended(Stage.ENDED), at)
    return session


def three_attempts(name="run-1"):
    """Return a run of epochs 0 to 4: one attempt was killed in epoch 3, the next failed, the last goes on from 2."""
    return [
        attempt(1, 0, 1, 2, name=name, began=1000.0, loss=3.0),
        attempt(2, 2, 3, name=name, began=1000.0 + HOUR, loss=2.0, status=Status.FAILED),
        attempt(3, 3, 4, name=name, began=1000.0 + 2 * HOUR, loss=1.0),
    ]
