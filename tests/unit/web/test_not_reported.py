"""What a training loop did not report is nowhere shown as a number."""

import html
import json
import math
import re

import pytest
from support.pages import NOON

from bridge.hardware import Gpu, Resources
from bridge.lifecycle import Connected, Ended
from bridge.model import (
    Batch,
    Client,
    Config,
    Epoch,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)

SILENT = {
    "nothing": (),
    "a status": (StatusChange(Status.RUNNING),),
    "an end": (StatusChange(Status.COMPLETED), Ended(Stage.ENDED)),
    "an epoch without averages": (Epoch(3, None),),
    "an empty measurement": (Performance(resources=Resources(gpus=(Gpu(3),))),),
    "scalars": (Scalars(0, 0, {"reward": 1.5}),),
    "scalars and an end": (
        Scalars(0, 0, {"reward": 1.5}),
        StatusChange(Status.COMPLETED),
        Ended(Stage.ENDED),
    ),
    "a batch without a loss": (Batch(3, 5, None),),
}

ADDRESSED = {"registered_at", "updated_at", "ended_at", "url", "api_url", "images_url", "trace_id"}
COUNTED = {"batches", "attempt", "stepped_at", "index", "notices"}
"""Members whose values the bridge knows by itself."""


def shown(text):
    """Return what a reader sees of a page, without times, addresses and the version."""
    body = re.sub(
        r"<(script|style|form|footer|time|code|select)\b.*?</\1>", "", text, flags=re.DOTALL
    )
    body = re.sub(
        r"<dt>(Registered|Ended|Elapsed|Duration)</dt><dd>.*?</dd>", "", body, flags=re.DOTALL
    )
    text = html.unescape(re.sub(r"<[^>]*>", " ", body))
    # At some hours of the day a duration has a smaller unit of nothing.
    return re.sub(r"\b(\d+ (?:d|h|min)) 0 (?:h|min|s)\b", r"\1", text)


def numbers_in(value, name=""):
    """Yield name and value of every number of a JSON answer that was not the bridge's own."""
    if name in ADDRESSED | COUNTED:
        return
    if isinstance(value, dict):
        for key, part in value.items():
            yield from numbers_in(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from numbers_in(part, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


@pytest.mark.parametrize("name", SILENT)
async def test_no_page_and_no_answer_has_a_zero(open_client, name):
    """Not in the list, not on the page, not in the API: a 0 is only what was sent as 0."""
    client = await open_client()
    session = client.deps.sessions.register("silent", Client(), Config()).session
    session.apply(Connected(), NOON)
    for event in SILENT[name]:
        session.apply(event, NOON)

    pages = [await (await client.get(path)).text() for path in ("/", "/sessions/silent")]
    answer = await (await client.get("/api/v1/sessions/silent")).json()

    for text in map(shown, pages):
        assert not re.findall(r"(?<![\w.])-?0(?:\.0+)?(?:e\d+)?\b[^\n]{0,20}", text)
        assert "100%" not in text
        assert "not started" not in text or "scalars" not in name
    assert not [pair for pair in numbers_in(answer) if pair[1] == 0]


async def test_what_was_sent_as_zero_is_shown_as_zero(open_client):
    """An accuracy of 0, a loss of 0 and an idle GPU are facts."""
    client = await open_client()
    session = client.deps.sessions.register("zeros", Client(), Config()).session
    session.apply(Batch(1, 1, 0.0), NOON)
    session.apply(Epoch(1, 0.0, 0.0, 0.0, 0.0, 0.0), NOON)
    session.apply(Performance(resources=Resources(0.0, gpus=(Gpu(1, "", 0.0),))), NOON)

    text = shown(await (await client.get("/sessions/zeros")).text())
    answer = await (await client.get("/api/v1/sessions/zeros")).json()

    assert "0.0%" in text
    assert re.search(r"Loss\s+0\s", text)
    assert (answer["loss"], answer["accuracy_ratio"], answer["gpu_utilization_ratio"]) == (0, 0, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.7e308, -1.7e308, 5e-324, -1.0])
async def test_extremes_are_shown_in_their_place(open_client, value):
    """Every number of every kind, as wrong as can be: pages and API are there, and no number is a row of digits."""
    client = await open_client()
    config = Config(2**32 - 1, 2**32 - 1, 2**32 - 1)
    session = client.deps.sessions.register("extreme", Client(), config).session
    session.apply(Connected(), NOON)
    session.apply(Batch(2**32 - 1, 2**32 - 1, value, duration_seconds=value), NOON)
    session.apply(Epoch(2**32 - 1, *[value] * 5), NOON)
    gpu = Gpu(3, "", *[value] * 5)
    session.apply(Performance(*[value] * 5, Resources(value, value, (gpu,))), NOON)
    session.apply(Scalars(1, 1, {"scalar": value}), NOON)

    pages = ("/", "/sessions/extreme", f"/sessions/extreme/batches/{2**32 - 1}-{2**32 - 1}")
    texts = [await (await client.get(path)).text() for path in pages]
    answers = [await client.get(f"/api/v1{path}") for path in ("/sessions", *pages[1:])]

    for text in map(shown, texts):
        assert not re.findall(r"[0-9,]{24,}", text)
        assert not re.findall(r"\b(inf|nan)\b", text)
    assert [answer.status for answer in answers] == [200, 200, 200]
    for answer in answers:
        json.loads(await answer.text(), parse_constant=lambda name: 1 / 0)
