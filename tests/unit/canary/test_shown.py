"""What the canary reads on a bridge's /metrics."""

import pytest
from support.answers import answering
from support.series import NOON, Scene

from bridge.canary.run import SCALAR, SPLIT
from bridge.canary.shown import read_shown
from bridge.canary.verdict import What
from bridge.client import BridgeClient
from bridge.client.query import QueryError
from bridge.model import Batch, Epoch, ImageResult, Prediction, Scalars


def read(url, session_id="canary-1"):
    """Return what is shown of a session at this URL."""
    return read_shown(BridgeClient(url), session_id)


def test_a_real_page_is_understood():
    """The series of the session that is meant, and of no other whose name only begins alike."""
    scene = Scene()
    for name in ("canary-1", "canary-11"):
        session = scene.session(name)
        predictions = (Prediction(1, 0.5), Prediction(2, 0.5))
        scene.tell(
            session,
            Batch(0, 0, 0.5, (), 0, predictions, (1, 1)),
            Batch(0, 1, 0.25, (), 0, predictions, (2, 2)),
            Scalars(0, 1, {SCALAR: 0.375, "accuracy": 0.5}, split=SPLIT),
            Epoch(0, 0.4, 0.5),
        )
        scene.settle(name, ImageResult.STORED, 3, NOON)
        scene.settle(name, ImageResult.SAMPLED_OUT, 2, NOON)
    with answering(200, scene.page().encode(), "text/plain") as url:
        shown, other = read(url), read(url, "canary-9")

    assert shown.counts == {
        What.BATCH: 2,
        What.LOSS: 2,
        What.EPOCH: 1,
        What.PREDICTION: 4,
        What.IMAGE: 5,
    }
    assert shown.values[What.EPOCH] == {SCALAR: 0.375}
    assert shown.values[What.LOSS] == {"sum": 0.75}
    assert shown.values[What.PREDICTION] == {
        "1/1": 1, "1/2": 1, "2/1": 1, "2/2": 1, "confidences": 4, "confidence sum": 2.0,
    }  # fmt: skip  # as a table
    assert shown.images_stored == 3
    assert set(other.counts.values()) == {0}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"# TYPE bridge_build_info gauge\n"),
        (503, b""),
        (404, b""),
        (200, b"<html>please log in</html>"),
        (200, b""),
        (
            200,
            b'# TYPE bridge_build_info gauge\ntraining_batches_total{session_id="canary-1"} many\n',
        ),
    ],
)
def test_a_page_that_says_nothing_is_unreadable(status, body):
    """Errors, pages of others and nonsense must not look like a bridge that has nothing."""
    with answering(status, body, "text/plain") as url, pytest.raises(QueryError):
        read(url)


def test_half_a_page_is_unreadable():
    """A bridge that dies while it answers leaves a page that ends too soon."""
    body = b"# TYPE bridge_build_info gauge\n"
    with answering(200, body, "text/plain", length=10_000) as url, pytest.raises(QueryError):
        read(url)


def test_nobody_there_is_unreadable():
    """As is an address where nothing listens."""
    with pytest.raises(QueryError):
        read("http://127.0.0.1:9")
