"""Records of BridgeClient become frames where pandas is installed."""

import pytest

from bridge.client.frames import to_pandas
from bridge.client.query_logged import (
    ComparedConfigs,
    ComparedCurve,
    Comparison,
    ConfigValues,
    Curve,
    CurvePoint,
    LoggedEvent,
)
from bridge.client.query_types import EpochAverages, LossBin

NOON = 1_700_000_000.0


def test_curves_are_indexed_by_step():
    """A row for each point, with the curve that it is of and its time in UTC."""
    points = tuple(
        CurvePoint(x=step, at=NOON + step, step=step, count=1, mean=0.5 * step) for step in (1, 2)
    )
    frame = to_pandas([Curve(name="lr", points=points), Curve(name="lr", split="validation")])

    assert frame.index.name == "step"
    assert list(frame["value"]) == [0.5, 1.0]
    assert frame["time"].iloc[0].isoformat() == "2023-11-14T22:13:21+00:00"


def test_batches_are_indexed_by_epoch_and_batch():
    """As epochs are by their number, and events by their time."""
    losses = to_pandas([LossBin(NOON, 1, 0.5, 0.5, 0.5, 0, 3, 17)])
    epochs = to_pandas((EpochAverages(3, 0.5, 0.9),))
    events = to_pandas((LoggedEvent(at=NOON, name="checkpoint", level="info"),))

    assert losses.loc[(3, 17), "mean"] == 0.5
    assert epochs.loc[3, "accuracy"] == 0.9
    assert str(events.index.tz) == "UTC"


def test_a_comparison_is_what_differs():
    """A column for each session, those without the key a gap."""
    compared = Comparison(
        curve=ComparedCurve(name="loss", by="step"),
        config=ComparedConfigs(different=(ConfigValues(name="lr", values={"a": 0.1, "b": 0.2}),)),
    )
    assert list(to_pandas(compared).index) == ["lr"]


def test_anything_else_is_refused():
    """With what to give; nothing is an empty frame."""
    assert to_pandas(()).empty
    with pytest.raises(TypeError, match="not str; give what one of its methods returns"):
        to_pandas(["x"])
