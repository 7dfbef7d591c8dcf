"""Events as lines."""

import io
import json
import logging
import re

import pytest

from bridge import logs


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def lines(kept_logging):
    """Return what configures logging, and returns what reads its lines."""

    def configured(level="info", format=None, stream=None):
        stream = stream or io.StringIO()
        logs.configure(level, format, stream=stream)
        return lambda: stream.getvalue().splitlines()

    return configured


def say(severity, text, /, **fields):
    """Log as the bridge does."""
    logging.getLogger("bridge").log(severity, text, extra={"fields": fields})


def test_an_event_is_one_line_of_json(lines):
    """Time in UTC, level, event and fields: a machine needs nothing else."""
    read = lines()
    say(logging.INFO, "ready", grpc="127.0.0.1:1", count=2)

    [line] = map(json.loads, read())

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "info", "event": "ready", "grpc": "127.0.0.1:1", "count": 2}


def test_hostile_fields_stay_one_valid_line(lines):
    """Nothing that a client sends can break a line, forge another one, or overwrite what we say."""
    read = lines()
    say(
        logging.INFO,
        "refused",
        id='a"\n{"level":"error"}',
        loss=float("nan"),
        level="fake",
        raw=b"\xff",
        half="\ud800",
        deep={"x": [float("inf")]},
    )

    [text] = read()
    line = json.loads(text)

    assert line["level"] == "info"
    assert line["id"] == 'a"\n{"level":"error"}'
    assert line["loss"] == "nan"
    assert line["deep"] == {"x": ["inf"]}


def test_a_failure_carries_its_traceback(lines):
    """An exception stays in the line of its event."""
    read = lines()
    logging.getLogger("bridge").error("failed", exc_info=ValueError("broken"))

    [line] = map(json.loads, read())

    assert "ValueError: broken" in line["exception"]


def test_a_terminal_gets_text(lines):
    """A person reads time, level, event and fields, with nothing that moves the cursor."""
    read = lines(stream=Terminal())
    say(logging.WARNING, "dropped", what="span", reason="a b", forged="x\n\x1b[2J", empty="")

    [line] = read()

    assert re.fullmatch(
        r'\d\d:\d\d:\d\d warning dropped what=span reason="a b" forged=x\\n\\x1b\[2J empty=""', line
    )


def test_text_has_no_place_for_what_there_is_not(lines):
    """A person need not read that there is no reason; a machine finds the same keys in each event."""
    read = lines(format="text")
    say(logging.INFO, "alert received", result="queued", reason=None, count=0)

    assert read()[0].endswith("alert received result=queued count=0")


def test_the_format_can_be_chosen(lines):
    """On a terminal JSON can be asked for, elsewhere text."""
    as_json = lines(format="json", stream=Terminal())
    say(logging.INFO, "x")
    assert json.loads(as_json()[0])["event"] == "x"

    as_text = lines(format="text")
    say(logging.INFO, "x")
    assert as_text()[0].endswith("info    x")


def test_less_important_events_are_left_out(lines):
    """The level holds for the bridge; libraries are heard only when something is wrong."""
    read = lines(level="warning")
    say(logging.INFO, "chatter")
    say(logging.ERROR, "serious")
    assert [json.loads(line)["event"] for line in read()] == ["serious"]

    read = lines(level="debug")
    logging.getLogger("urllib3.connectionpool").warning("retrying")
    logging.getLogger("grpc").error("gone")
    assert [json.loads(line)["logger"] for line in read()] == ["grpc"]
