"""docs/traces.md says what spans tell."""

import math
import re

import pytest
from support.markdown import tables_under
from support.spans import START, World, averages, batch
from support.tools import ROOT

from bridge.config.opentelemetry import READ
from bridge.config.settings import Settings, info_of
from bridge.lifecycle import CommandAnswered, CommandSent, Connected, Disconnected, Ended
from bridge.model import (
    CommandResult,
    Level,
    Occurrence,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType
from bridge.sinks.spans import SpanOptions, WindowLimits
from bridge.sinks.spans.aliases import DL_NAMES
from bridge.sinks.spans.span import TEXT_LIMIT
from bridge.sinks.spans.stretch import EVENTS_LIMIT
from bridge.sinks.spans.trace import LABELS_LIMIT
from bridge.storage.outbox import OUTBOX_LIMIT

PAGE = (ROOT / "docs" / "traces.md").read_text()
TABLES = tables_under(PAGE)
SPANS = {
    "session": "training.session",
    "epoch": "training.epoch",
    "window": "training.window",
    "end": "training.session.end",
}


@pytest.fixture
def spans(tmp_path):
    """The spans of a session to which everything happens that spans tell of."""
    world = World(tmp_path, options=SpanOptions(WindowLimits(steps=2)))
    session = world.register()
    result = CommandResult("c", applied=True, message="done", epoch=1, batch=1)
    refusal = CommandResult("c", applied=False, message="no", epoch=1, batch=1)
    everything = (
        CommandSent("c", CommandType.PAUSE_TRAINING, {"why": "alert"}),
        CommandAnswered(CommandType.PAUSE_TRAINING, result),
        CommandAnswered(CommandType.PAUSE_TRAINING, refusal),
        Disconnected(),
        Connected(),
        Occurrence("drop", "half", Level.INFO, {"from": "0.1"}, 1, 1, 2),
        *[StatusChange(Status.PAUSED, f"by command {number}") for number in range(20)],
    )
    rates = Scalars(1, 0, {"learning_rate": 0.1, "gradient_norm": 1.0})
    first = batch(1, 0, math.nan, sample_count=8)
    world.happen(session, first, *everything, rates, at=START)
    world.happen(session, batch(1, 1, step=2, tokens=9), at=START + 1)
    world.happen(session, Performance(0.1, 1.0, 1.0, 60.0, 60.0), *everything, at=START + 2)
    last = averages(1, validation_loss=1.0, validation_accuracy=0.5, learning_rate=0.1)
    world.happen(session, last, *everything, at=START + 3)
    world.happen(session, StatusChange(Status.COMPLETED), Ended(Stage.ENDED), at=START + 4)
    yield world.spans()
    world.close()


def general(name):
    """Return an attribute as the page calls it."""
    return re.sub(
        r"^(training\.(?:label|command|event\.detail))\.(?!id$|message$).*", r"\1.*", name
    )


def test_attributes_are_as_documented(spans):
    """Every attribute stands on the page with the spans that carry it, and no other does."""
    documented = {
        (name.strip("`"), SPANS[span])
        for name, carriers, _ in TABLES["Attributes"]
        for span in (SPANS if carriers == "all" else carriers.split(", "))
    }

    assert {(general(name), span.name) for span in spans for name in span.attributes} == documented


def test_names_of_nemo_lens_are_as_documented():
    """Each second name stands beside the first one."""
    rows = [[f"`{name}`", f"`{other}`"] for name, other in DL_NAMES.items()]

    assert TABLES["Names of NeMo Lens"] == rows


def test_events_are_as_documented(spans):
    """Every event stands on the page with its attributes, and no other does."""
    documented = {
        name: set(re.findall(r"`([a-z_.*]+)`", attributes))
        for names, attributes in TABLES["Events"]
        for name in re.findall(r"`([^`]+)`", names)
    }
    found = {}
    for span in spans:
        for event in span.events:
            found.setdefault(event.name, set()).update(map(general, event.attributes))

    assert found == documented


def test_variables_are_as_documented():
    """Each variable that is read stands in the table with what it sets, and each fallback of a setting is one of them."""
    assert TABLES["Variables of OpenTelemetry"] == [
        [f"`{name}`", meaning] for name, meaning in READ.items()
    ]
    fallbacks = {
        variable.replace("OTLP_TRACES_", "OTLP_").replace("OTLP_", "OTLP_[TRACES_]")
        for name in Settings.model_fields
        for variable in info_of(name).fallbacks
        if variable.startswith("OTEL_")
    }
    assert fallbacks < set(READ)


def test_limits_are_as_documented():
    """The numbers on the page are those of the code."""
    assert EVENTS_LIMIT == 16
    assert "At most sixteen a span" in PAGE
    assert f"cut at {TEXT_LIMIT:,} characters" in PAGE
    assert f"at most {LABELS_LIMIT}" in PAGE
    assert f"At most {OUTBOX_LIMIT:,} spans wait" in PAGE
