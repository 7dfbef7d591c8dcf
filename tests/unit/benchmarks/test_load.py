"""Loads, sent to the bare server as a real process."""

from dataclasses import replace

import load
import pytest
from bare import bare
from bridges import total
from load import Load
from processes import BenchmarkError

SMALL = Load(streams=2, messages=20, registered=False)


@pytest.mark.parametrize(
    ("answer", "answers"), [("end", "end"), ("each", "each"), ("kept", "sequence")]
)
def test_everything_is_acknowledged(answer, answers):
    """A load is over when the server has reported that it has every message."""
    with bare(answer=answer) as server:
        outcome = load.run(server, replace(SMALL, answers=answers))

    assert outcome.bytes > SMALL.total
    assert len(outcome.ack_seconds) == (0 if answers == "end" else SMALL.total)
    assert outcome.rss_bytes >= 0


def test_pace_is_kept():
    """A paced load takes as long as its messages are apart."""
    with bare(answer="each") as server:
        outcome = load.run(server, replace(SMALL, answers="each", per_second=100))

    assert outcome.wall_seconds >= 0.18


def test_frames_hold_what_came_up():
    """Paced frames go out at their own interval, and every message counts."""
    framed = replace(SMALL, answers="end", frame=50, per_second=200, flush_seconds=0.05)
    with bare() as server:
        outcome = load.run(server, framed)

    assert outcome.wall_seconds >= 0.09


def test_missing_acknowledgment_is_an_error(monkeypatch):
    """Where the server does not tell that everything has arrived, there is no figure."""
    monkeypatch.setattr(load, "LIMIT_SECONDS", 0.5)
    with bare() as server, pytest.raises(BenchmarkError, match="40 of 40 messages"):
        load.run(server, replace(SMALL, answers="sequence"))


def test_total_adds_up_the_samples_asked_for():
    """Samples of one name are added up, all of them or those with a label."""
    page = '# TYPE a counter\na{s="1",r="x"} 2\na{s="2",r="y"} 3\na_b{s="1"} 7\nc 1.5\n'

    assert total(page, "a") == 5
    assert total(page, 'a{r="y"}') == 3
    assert total(page, "c") == 1.5
    assert total(page, "d") == 0
