"""What the board of the Infinity data source asks for is what the API answers."""

import re

import pytest
from support.gjson import field, rows
from support.pages import pictures, running

from bridge.commands import CommandType
from bridge.lifecycle import AlertReceived
from bridge.model import Epoch, Level, Occurrence
from bridge.web.annotations.annotation import Kind
from grafana.boards.infinity import INFINITY_BOARD
from grafana.boards.session import SESSION_BOARD
from grafana.infinity import PLUGIN

ASKED = {
    panel["title"]: panel["targets"][0]
    for panel in INFINITY_BOARD["panels"]
    if panel.get("targets") and panel["targets"][0]["datasource"]["type"] == PLUGIN
}

ASKED |= {f"lines {one['name']}": one["target"] for one in INFINITY_BOARD["annotations"]["list"]}

HALVED = Occurrence("lr drop", "halved", Level.INFO, {}, epoch=1, batch=2)

TRAINED = Epoch(1, 0.5, 0.75)

STALLED = AlertReceived("f", "Stalled", 1.0, 0.0, "warning", "no step", "")

VARIABLES = {
    "${bridge_url}": "",
    "${session}": "run-1",
    "${compared:csv}": "run-1,run-2",
    "${__from}": "0",
    "${__to}": "1900000000000",
}


def filled(text):
    """Return a text with Grafana's variables filled in."""
    return re.sub(r"\$\{[^}]+\}", lambda match: VARIABLES[match[0]], text)


@pytest.fixture
async def client(open_client, stored):
    """Return a client of a bridge with two sessions that have everything the board shows."""
    client = await open_client()
    for name, size in (("run-1", 8), ("run-2", 16)):
        session = running(client.deps, name, batch_size=size)
        for happened in (HALVED, TRAINED, STALLED):
            session.apply(happened, session.registered_at)
    for batch in (1, 4):
        stored.add("run-1", 1, batch, pictures(2), loss=0.5)
    client.deps.commands.submit("run-1", CommandType.PAUSE_TRAINING, {})
    return client


@pytest.mark.parametrize("title", ASKED)
async def test_every_column_is_in_the_answer(title, client):
    """There are rows where the board looks for them, and each has every field that is named, null or not."""
    target = ASKED[title]
    parameters = {one["key"]: filled(one["value"]) for one in target["url_options"]["params"]}

    response = await client.get(filled(target["url"]), params=parameters)
    found = rows(await response.json(), target["root_selector"])

    assert response.status == 200
    assert found
    for row in found:
        for column in target["columns"]:
            field(row, column["selector"])


async def test_rows_are_what_their_panel_says(client):
    """Images with their batch, differences with their session."""
    images = rows(
        await (await client.get("/api/v1/sessions/run-1/images?to=1900000000000")).json(),
        ASKED["Images"]["root_selector"],
    )
    compared = await (await client.get("/api/v1/compare?sessions=run-1,run-2")).json()
    cells = rows(compared, ASKED["Differences in configuration"]["root_selector"])

    assert [(one["batch"], one["position"]) for one in images] == [(4, 0), (4, 1), (1, 0), (1, 1)]
    assert {(one["session_id"], one["value"]) for one in cells if one["name"] == "batch_size"} == {
        ("run-1", 8),
        ("run-2", 16),
    }


def test_a_selector_of_what_is_not_there_is_noticed():
    """The checks above can fail."""
    with pytest.raises(KeyError):
        rows({"batches": [{}]}, "batches.#.images|@flatten")
    with pytest.raises(KeyError):
        field({"result": {}}, "result.message")


def test_lines_look_like_those_of_the_other_boards():
    """The same names and colours, and all that the API knows is in one of them."""
    others = {one["name"]: one["iconColor"] for one in SESSION_BOARD["annotations"]["list"]}
    own = INFINITY_BOARD["annotations"]["list"]
    asked = ",".join(
        parameter["value"]
        for one in own
        for parameter in one["target"]["url_options"]["params"]
        if parameter["key"] == "kind"
    )

    assert {one["name"]: one["iconColor"] for one in own} == others
    assert sorted(asked.split(",")) == sorted(Kind)
