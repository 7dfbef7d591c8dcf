"""When the panel of a session is drawn, and what it says."""

import os
import sys
import threading
from types import SimpleNamespace

import pytest
from support.fake_bridge import FakeBridge, serving
from support.waiting import until_true

from bridge.client import TrainingSession
from bridge.client.command import Command
from bridge.client.notebook import kernel, panel
from bridge.client.notebook.panel import Panel
from bridge.client.notebook.view import PanelView
from bridge.protocol import CommandType


class Canvas:
    """Keeps what was shown."""

    def __init__(self):
        self.pages = []
        self.texts = []
        self.error = None

    def show(self, html, text):
        if self.error is not None:
            raise self.error
        self.pages.append(html)
        self.texts.append(text)


@pytest.fixture
def canvas(monkeypatch):
    """Every session of this test is shown here, and drawn as often as it can be."""
    canvas = Canvas()
    monkeypatch.setattr(panel, "kernel_display", lambda: canvas)
    monkeypatch.setattr(panel, "REFRESH_SECONDS", 0.005)
    return canvas


@pytest.fixture
def bridge():
    """A bridge that says where its pages are."""
    bridge = FakeBridge()
    bridge.page_url = "https://bridge.example.org/sessions/run"
    with serving(bridge):
        yield bridge


def test_a_run_is_shown_from_its_beginning_to_its_end(canvas, bridge):
    """State, place, loss, page, and what became of a command; nothing is drawn behind the end."""
    with TrainingSession(
        bridge.address, session_id="run", epochs=2, batches_per_epoch=4
    ) as session:
        assert len(canvas.pages) == 1
        for batch in range(4):
            session.log_batch(0.5 - batch / 10, epoch=0, batch=batch, sample_count=8)
        session._commands.receive(Command(CommandType.ADJUST_BATCH_SIZE, {"batch_size": "64"}))
        until_true(lambda: "epoch 0 of 2 · batch 3 of 4" in canvas.texts[-1])
        until_true(lambda: "batch_size 64" in canvas.pages[-1])
        until_true(lambda: bridge.page_url in canvas.pages[-1])
        until_true(
            lambda: "running" in canvas.texts[-1]
        )  # the page is known before there is a stream
        assert "50 %" in canvas.pages[-1]
    drawn = len(canvas.pages)
    session.close()

    assert "completed" in canvas.texts[-1]
    assert len(canvas.pages) == drawn
    until_true(lambda: "trainbridge-panel" not in {each.name for each in threading.enumerate()})


def test_a_run_by_steps_counts_steps(canvas, bridge):
    """Of how many, where that is known."""
    with TrainingSession(bridge.address, session_id="run", steps=200) as session:
        session.log_batch(0.5, step=49)
        until_true(lambda: "step 49 of 200" in canvas.texts[-1])

    assert "25 %" in canvas.pages[-1]


def test_a_bridge_that_is_not_there_is_named_with_the_reason(canvas):
    """And the panel ends all the same."""
    with TrainingSession("127.0.0.1:9", session_id="run", close_seconds=0) as session:
        session.log_batch(0.5, epoch=0, batch=0)
        until_true(lambda: "not connected: " in canvas.texts[-1])

    assert "left out" in canvas.pages[-1]


def test_an_unchanged_panel_is_not_drawn_again():
    """However often it is looked."""
    canvas, looks = Canvas(), []

    def view():
        looks.append(None)
        return PanelView(name="run", state="running")

    drawn = Panel(canvas, view, is_running=lambda: len(looks) < 3)
    drawn._ended.wait = lambda _seconds: False
    drawn.open()
    drawn._thread.join(60)

    assert (len(looks), len(canvas.pages)) == (4, 1)


def test_a_front_end_that_fails_does_not_reach_the_loop(canvas, bridge, caplog):
    """It is said once, and training goes on."""
    canvas.error = RuntimeError("no socket")
    with TrainingSession(bridge.address, session_id="run") as session:
        session.log_batch(0.5, epoch=0, batch=0)

    assert bridge.batches() == [(0, 0)]
    [said] = [each.getMessage() for each in caplog.records if "panel" in each.getMessage()]
    assert "no socket" in said


def test_a_front_end_that_takes_nothing_holds_no_end():
    """Not even one that has taken everything until the last drawing; that is left to the panel's own thread."""
    canvas, hangs, has_let_go = Canvas(), threading.Event(), threading.Event()
    states = iter(("running", "completed"))
    drawn = Panel(
        canvas, lambda: PanelView(name="run", state=next(states)), is_running=lambda: True
    )
    drawn.open()
    canvas.show = lambda _html, _text: (hangs.set(), has_let_go.wait())
    try:
        ending = threading.Thread(target=drawn.end, daemon=True)
        ending.start()
        until_true(hangs.is_set, what="the front end hangs")
        until_true(lambda: not ending.is_alive(), what="the session has ended")
        assert drawn._thread.is_alive()
    finally:
        has_let_go.set()
        drawn._thread.join(60)


def test_a_fork_does_not_draw(canvas):
    """The notebook belongs to its parent."""
    drawn = Panel(canvas, lambda: PanelView(name="run", state="running"), is_running=lambda: True)
    drawn._process = os.getpid() + 1
    drawn.end()

    assert canvas.pages == []


@pytest.mark.parametrize(
    ("shell", "variable", "is_shown"),
    [
        (SimpleNamespace(kernel=object(), display_pub=object()), "", True),
        (SimpleNamespace(kernel=object(), display_pub=object()), "0", False),
        (SimpleNamespace(kernel=object(), display_pub=object()), "off", False),
        (SimpleNamespace(display_pub=object()), "", False),
        (None, "", False),
    ],
    ids=["kernel", "0", "off", "terminal", "no shell"],
)
def test_only_a_kernel_shows_a_panel(monkeypatch, shell, variable, is_shown):
    """Not IPython in a terminal, nor a program that has loaded it; the variable switches it off."""
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setenv("TRAINBRIDGE_PANEL", variable)

    assert (kernel.kernel_display() is not None) == is_shown


def test_a_session_may_do_without(canvas, bridge):
    """With panel=False."""
    TrainingSession(bridge.address, session_id="run", panel=False).close()

    assert canvas.pages == []
