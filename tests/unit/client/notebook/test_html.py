"""The panel as it is drawn."""

import math
from html.parser import HTMLParser

import pytest

from bridge.client.notebook.html import html, plain_text
from bridge.client.notebook.loss_curve import MOST_POINTS, LossCurve
from bridge.client.notebook.view import BUSY, PanelView

HOSTILE = "<script>alert(1)</script>\"'&" * 200

FULL = PanelView(
    name="run",
    url="https://bridge.example.org/sessions/run",
    state="running",
    tone=BUSY,
    place="epoch 1 of 3",
    ratio=0.666,
    loss=0.25,
    curve=tuple(math.sin(index) for index in range(MOST_POINTS)),
    speed="40 batches/s",
    commands=("pause: applied",) * 5,
    left_out=("3 images: no memory",) * 5,
)


class Tags(HTMLParser):
    """Collects the tags of a page, and the text between them."""

    def __init__(self, page):
        """Read a page."""
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += f"{data} "


def test_everything_known_is_shown():
    """With a link, the loss as a curve, and no script."""
    page = Tags(html(FULL))

    for text in ("run", "running", "66 %", "epoch 1 of 3", "0.25", "40 batches/s"):
        assert text in page.text
    assert {"a", "svg"} <= set(page.tags)
    assert "script" not in page.tags


def test_what_is_not_known_is_left_out():
    """Nothing is shown as 0."""
    page = Tags(html(PanelView(name="run", state="connecting")))

    assert page.text.split() == ["run", "●", "connecting"]
    assert not {"a", "svg"} & set(page.tags)


def test_texts_of_a_program_are_text():
    """Whatever they hold; and the panel stays small."""
    view = PanelView(
        name=HOSTILE, state=HOSTILE, place=HOSTILE, commands=(HOSTILE,) * 5, left_out=(HOSTILE,) * 5
    )

    assert "<script" not in html(view)
    assert len(html(view)) < 32_000


def test_a_full_panel_is_small():
    """A saved notebook hardly grows by it."""
    assert len(html(FULL)) < 6_000


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_shown_as_such(loss):
    """In the text; the curve goes on without it."""
    assert str(loss) in html(PanelView(name="run", state="running", loss=loss))


def test_a_front_end_without_html_gets_a_line():
    """With the address of the page."""
    assert plain_text(FULL) == (
        "trainbridge session run: running, epoch 1 of 3, loss 0.25,"
        " https://bridge.example.org/sessions/run"
    )


@pytest.mark.parametrize("count", [0, 1, MOST_POINTS - 1, MOST_POINTS, 10_007])
def test_a_curve_is_bounded_and_keeps_its_mean(count):
    """However many losses come; those that are not finite are left out."""
    curve = LossCurve()
    for index in range(count):
        curve.add(float(index))
        curve.add(math.nan)

    points = curve.points()
    assert len(points) <= MOST_POINTS
    assert list(points) == sorted(points)
    if count:
        assert points[0] < count / 10 + 1
        assert points[-1] >= count - 1 - count / 20
