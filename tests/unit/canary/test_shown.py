"""What the canary reads of a bridge's pages."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.series import NOON, Scene

from bridge.canary.run import Place
from bridge.canary.shown import Reader, UnreadableError
from bridge.canary.verdict import What
from bridge.model import Batch, Epoch, ImageResult, Prediction


class Answers:
    """A server that says what it is told."""

    def __init__(self):
        self.body = b""
        self.status = 200
        self.length = None
        answers = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(answers.status)
                self.send_header("Content-Length", str(answers.length or len(answers.body)))
                self.end_headers()
                self.wfile.write(answers.body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.reader = Reader(f"http://127.0.0.1:{self.server.server_port}")


@pytest.fixture
def answers():
    """Serve while a test runs."""
    answers = Answers()
    thread = threading.Thread(target=answers.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield answers
    answers.server.shutdown()
    thread.join()
    answers.server.server_close()


def test_a_real_page_is_understood(answers):
    """The series of the session that is meant, and of no other whose name only begins alike."""
    scene = Scene()
    for name in ("canary-1", "canary-11"):
        session = scene.session(name)
        told = (Prediction(1, 0.5), Prediction(2, 0.5))
        scene.tell(
            session,
            Batch(0, 0, 0.5, (), 0, told, (1, 1)),
            Batch(0, 1, 0.25, (), 0, told, (2, 2)),
            Epoch(0, 0.4, 0.5),
        )
        scene.settle(name, ImageResult.STORED, 3, NOON)
        scene.settle(name, ImageResult.SAMPLED_OUT, 2, NOON)
    answers.body = scene.page().encode()
    shown = answers.reader.page("canary-1")

    assert shown.counts == {
        What.BATCH: 2,
        What.LOSS: 2,
        What.EPOCH: 1,
        What.PREDICTION: 4,
        What.IMAGE: 5,
    }
    assert shown.values.loss_sum == 0.75
    assert shown.values.cells == {("1", "1"): 1, ("1", "2"): 1, ("2", "1"): 1, ("2", "2"): 1}
    assert shown.images_stored == 3
    assert set(answers.reader.page("canary-9").counts.values()) == {0}


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
def test_a_page_that_says_nothing_is_said_to_be_unreadable(answers, status, body):
    """Errors, pages of others and nonsense must not look like a bridge that has nothing."""
    answers.status, answers.body = status, body

    with pytest.raises(UnreadableError):
        answers.reader.page("canary-1")


def test_half_a_page_is_unreadable(answers):
    """A bridge that dies while it answers leaves a page that ends too soon."""
    answers.body, answers.length = b"# TYPE bridge_build_info gauge\n", 10_000

    with pytest.raises(UnreadableError):
        answers.reader.page("canary-1")


def test_nobody_there_is_unreadable():
    """As is an address where nothing listens."""
    with pytest.raises(UnreadableError):
        Reader("http://127.0.0.1:9").page("canary-1")


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"batches": [{}], "next": null}', b'{"next": null}']
)
def test_a_list_that_cannot_be_understood_is_unreadable(answers, body):
    """Rather than empty."""
    answers.body = body

    with pytest.raises(UnreadableError):
        list(answers.reader.images("canary-1"))


def test_what_is_not_there_is_told_apart(answers):
    """A 404 is an answer: no such session, no such image."""
    answers.status = 404

    assert list(answers.reader.images("canary-1")) == []
    assert answers.reader.image("canary-1", Place(0, 0, 0)) is None
