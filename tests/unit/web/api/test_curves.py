"""Curves of numbers by name, and events, as JSON."""

import json
import math

from support.pages import running

from bridge.model import Level, Occurrence, Scalars


def strict(text):
    """Parse JSON strictly: NaN and Infinity are errors."""
    return json.loads(text, parse_constant=lambda name: 1 / 0)


async def get(client, address):
    """Return what the API answers below a session."""
    return strict(await (await client.get(f"/api/v1/sessions/run-1/{address}")).text())


def log(session, values, step, split=""):
    """Log numbers at a step, two seconds after the one before."""
    session.apply(Scalars(0, step, values, step, split), session.registered_at + 2.0 * step)


async def test_every_curve_is_returned(open_client):
    """Each name and split has its points; what is not finite is counted, and no number of the page is NaN."""
    client = await open_client()
    run = running(client.deps)
    log(run, {"loss": 1.0, "norm": math.nan}, 1, "train")
    log(run, {"loss": 2.0}, 2)

    answer = await get(client, "curves")

    assert (answer["by"], answer["names"], answer["splits"]) == (
        "step",
        ["loss", "norm"],
        ["train", None],
    )
    assert [(one["name"], one["split"]) for one in answer["curves"]] == [
        ("loss", "train"),
        ("norm", "train"),
        ("loss", None),
    ]
    loss, norm, _ = (one["points"][0] for one in answer["curves"])
    assert (loss["x"], loss["step"], loss["mean"], loss["low"], loss["count"]) == (
        1,
        1,
        1.0,
        1.0,
        1,
    )
    assert (norm["mean"], norm["high"], norm["nonfinite"]) == (None, None, 1)


async def test_curves_are_selected_by_name_and_split(open_client):
    """An empty split selects what came without one; what nothing matches is an empty list that names what there is."""
    client = await open_client()
    run = running(client.deps)
    for split in ("train", "validation", ""):
        log(run, {"loss": 1.0, "norm": 1.0}, 1, split)

    async def selected(query):
        curves = (await get(client, f"curves?{query}"))["curves"]
        return [(one["name"], one["split"]) for one in curves]

    assert await selected("name=loss&split=validation") == [("loss", "validation")]
    assert await selected("name=loss&split=") == [("loss", None)]
    assert await selected("split=train") == [("loss", "train"), ("norm", "train")]
    assert await selected("name=unknown") == []


async def test_curves_are_placed_by_time(open_client):
    """By time, x is the seconds since the session was registered."""
    client = await open_client()
    run = running(client.deps)
    log(run, {"loss": 1.0}, 3)

    answer = await get(client, "curves?by=time")

    assert answer["curves"][0]["points"][0]["x"] == 6.0
    refused = await client.get("/api/v1/sessions/run-1/curves?by=epoch")
    assert refused.status == 400
    assert "by must be step or time" in (await refused.json())["detail"]


async def test_events_are_returned_with_all_that_is_known(open_client):
    """The oldest first; a message that was not given is null."""
    client = await open_client()
    run = running(client.deps)
    run.apply(Occurrence("lr drop", "", Level.INFO, {"from": "0.1"}, 1, 2, 34), 5.0)
    run.apply(Occurrence("diverged", "loss 1e9", Level.ERROR, {}, 1, 3), 6.0)

    answer = await get(client, "events")

    assert answer["total"] == 2
    assert answer["events"] == [
        {
            "at": 5.0,
            "name": "lr drop",
            "message": None,
            "level": "info",
            "details": {"from": "0.1"},
            "epoch": 1,
            "batch": 2,
            "step": 34,
        },
        {
            "at": 6.0,
            "name": "diverged",
            "message": "loss 1e9",
            "level": "error",
            "details": {},
            "epoch": 1,
            "batch": 3,
            "step": None,
        },
    ]


async def test_a_session_has_its_steps_and_splits(open_client):
    """The newest values by split stand beside those without, and a run says which step it has reached."""
    client = await open_client()
    run = running(client.deps, batches=0)
    log(run, {"loss": 1.0}, 7, "train")
    log(run, {"cer": 0.5}, 7)

    session = strict(await (await client.get("/api/v1/sessions/run-1")).text())

    assert session["scalars"] == {"cer": 0.5}
    assert session["scalars_by_split"] == {"train": {"loss": 1.0}}
    assert (session["step"], session["tokens"]) == (7, None)


async def test_nothing_reported_is_empty(open_client):
    """A session without numbers and events has none, and no error."""
    client = await open_client()
    running(client.deps)

    assert (await get(client, "curves"))["curves"] == []
    assert await get(client, "events") == {"events": [], "total": 0}
