"""The description of the API: it has every route, and every answer is as it says."""

import json
import math
import re
from dataclasses import fields

import pytest
from openapi_spec_validator import validate
from support.access import Granted, asking_for
from support.attempts import three_attempts
from support.openapi import check_answer
from support.pages import FakeArchive, pictures, running
from support.runs import gpu, rank_performance, rank_session

from bridge.client import query_logged, query_types
from bridge.lifecycle import AlertReceived, Disconnected
from bridge.model import Batch, CommandResult, Epoch, Level, Occurrence, Scalars
from bridge.protocol import CommandType
from bridge.web import AlertBounds
from bridge.web.api.openapi.document import API, OPERATIONS, SCHEMAS, build_document
from bridge.web.app import ROUTES

PATH = "/api/openapi.json"

API_ROUTES = [route for route in ROUTES if route.plain.startswith(API)]

HERE = "/api/v1/sessions/run-1"

ALERT = {
    "status": "firing",
    "fingerprint": "f",
    "startsAt": "2040-01-02T03:04:05Z",
    "labels": {"alertname": "Diverging", "session_id": "run-1", "trainbridge_command": "pause"},
}

REQUESTS = {
    "get_document": [("", None, 200)],
    "list_sessions": [("?limit=1", None, 200), ("", None, 200), ("?limit=0", None, 400)],
    "get_session": [
        (HERE, None, 200),
        ("/api/v1/sessions/old-1", None, 200),
        ("/api/v1/sessions/old-1?attempt=2", None, 200),
        ("/api/v1/sessions/night", None, 200),
        (f"{HERE}?attempt=x", None, 400),
        ("/api/v1/sessions/never", None, 404),
    ],
    "delete_session": [(HERE, None, 202), (f"{HERE}?attempt=1&images=true", None, 202)],
    "list_curves": [(f"{HERE}/curves", None, 200), (f"{HERE}/curves?by=x", None, 400)],
    "list_events": [(f"{HERE}/events", None, 200)],
    "list_images": [
        (f"{HERE}/images?limit=1", None, 200),
        (f"{HERE}/images?from=1", None, 200),
        (f"{HERE}/images?from=1&after=1-1", None, 400),
    ],
    "get_batch": [
        (f"{HERE}/batches/1-1", None, 200),
        (f"{HERE}/batches/1-2", None, 200),
        ("/api/v1/sessions/old-1/batches/2-3", None, 200),
        (f"{HERE}/batches/9-9", None, 404),
    ],
    "get_run": [
        ("/api/v1/runs/night?sort=straggler", None, 200),
        ("/api/v1/runs/never", None, 404),
    ],
    "get_comparison": [
        ("?sessions=run-1,old-1,never", None, 200),
        ("?sessions=run-1,old-1&curve=epoch.accuracy", None, 200),
        ("", None, 400),
    ],
    "post_command": [
        (
            f"{HERE}/commands",
            {"type": "CHANGE_LEARNING_RATE", "parameters": {"learning_rate": 0.5}},
            202,
        ),
        (f"{HERE}/commands", {"type": "PAUSE_TRAINING", "command_id": "known"}, 409),
        (f"{HERE}/commands", {"type": "NO"}, 400),
        (f"{HERE}/commands", "text", 415),
    ],
    "list_commands": [(f"{HERE}/commands", None, 200)],
    "post_alerts": [
        ("", {"alerts": [ALERT, {"labels": 1}], "truncatedAlerts": 3}, 202),
        ("", {"alerts": []}, 200),
        ("", {"alerts": [{**ALERT, "labels": {**ALERT["labels"], "session_id": "never"}}]}, 200),
        ("", {"alerts": [{**ALERT, "labels": {**ALERT["labels"], "session_id": "away"}}]}, 503),
        ("", [], 400),
    ],
    "list_bridges": [("", None, 200)],
    "list_annotations": [
        ("?session=run-1,old-1,never&limit=3", None, 200),
        ("?kind=no", None, 400),
    ],
}
"""Of each operation: where below its path, or at which path, with which body, and the status."""


def busy(client, stored):
    """Have sessions with something in every field: of several attempts, of ranks, and one with numbers that are not finite."""
    stored.add("run-1", 1, 1, pictures(), loss=math.nan)
    session = running(client.deps, "run-1", batches=4, dataset_name="digits")
    session.client.labels["team"] = "vision"
    session.client.run_config["lr"] = 0.1
    begun = session.registered_at
    for step, loss in enumerate((math.nan, math.inf, 2.0), start=3):
        session.apply(Batch(1, step, loss), begun + step)
    session.apply(Epoch(1, math.nan, 93.5, None, -math.inf, 0.1), begun + 9)
    session.apply(Scalars(1, 3, {"loss": math.nan, "rate": 0.5}, 4, "train"), begun + 9)
    session.apply(Scalars(1, 3, {"low": -math.inf}, 4), begun + 9)
    session.apply(Occurrence("drop", "", Level.WARNING, {"rate": "0.1"}, 1, 2, 4), begun + 9)
    session.apply(AlertReceived("g", "Slow", begun, begun + 1, "warning", "slow"), begun + 2)
    seen = rank_performance(
        9, gpus=[gpu(math.nan, ("power",), ecc_errors=1)], seconds={"data": 1.5}
    )
    session.apply(seen, begun + 10)
    commands = client.deps.commands
    for name, kind in (
        ("known", CommandType.STOP_TRAINING),
        ("waits", CommandType.SAVE_CHECKPOINT),
    ):
        commands.submit("run-1", kind, {}, name, "person")
    commands.answer("run-1", CommandResult("known", False, "", 1, 3))
    running(client.deps, "away").apply(Disconnected(), begun)
    for rank in range(2):
        rank_session(
            rank,
            rank_performance(10, seconds={"data": 1.0}, gpus=[gpu(0.5, ("thermal",))]),
            rank_performance(20 + rank, seconds={"data": 5.0 + rank, "compute": 9.0}),
            sessions=client.deps.sessions,
        )


@pytest.fixture
async def client(open_client, stored):
    """Return a client of a bridge with sessions of every kind."""
    *former, newest = three_attempts("old-1")
    client = await open_client(
        archive=FakeArchive({"old-1": newest}, former),
        alert_bounds=AlertBounds(frozenset(CommandType)),
    )
    busy(client, stored)
    return client


def test_every_route_is_described_once():
    """A route of the API that nothing is said of, or a description of none, fails."""
    endpoints = [route.endpoint for route in API_ROUTES]

    assert len(endpoints) == len(set(endpoints))
    assert set(endpoints) == OPERATIONS.keys()


@pytest.mark.parametrize("asks", [True, False])
def test_the_document_is_openapi(asks):
    """A validator of the specification finds nothing to object to."""
    validate(json.loads(json.dumps(build_document(ROUTES, asks_for_tokens=asks))))


def test_every_schema_is_used():
    """Nothing is described that no answer or request has."""
    text = json.dumps(build_document(ROUTES, asks_for_tokens=True))

    assert [name for name in SCHEMAS if f'schemas/{name}"' not in text] == []


@pytest.mark.parametrize("route", API_ROUTES, ids=lambda one: one.endpoint.__name__)
def test_the_parameters_of_a_path_are_those_of_its_route(route):
    """What stands in braces is described, and required; nothing else is in the path."""
    described = OPERATIONS[route.endpoint].parameters
    names = [one.name for one in described if one.place == "path"]

    assert names == re.findall(r"\{(\w+)\}", route.plain)
    assert all(one.required for one in described if one.place == "path")


@pytest.mark.parametrize("route", API_ROUTES, ids=lambda one: one.endpoint.__name__)
async def test_answers_are_as_described(client, route):
    """Statuses, types and every field: none that is not described, and none missing."""
    document = await (await client.get(PATH)).json()
    operation = document["paths"][route.plain][route.method.lower()]
    for where, body, status in REQUESTS[route.endpoint.__name__]:
        path = where if where.startswith("/") else f"{route.plain}{where}"
        given = {"data": body} if isinstance(body, str) else {"json": body}
        response = await client.request(route.method, path, **given)
        content = await response.read()

        assert response.status == status, content
        check_answer(document, operation, status, response.content_type, content)
        assert (
            response.headers.keys() >= operation["responses"][str(status)].get("headers", {}).keys()
        )


def test_every_answer_that_is_described_is_tried():
    """What the document says of an answer has been seen."""
    for endpoint, operation in OPERATIONS.items():
        tried = {status for *_, status in REQUESTS[endpoint.__name__]}
        assert operation.answers.keys() <= tried


@pytest.mark.parametrize("role", ["view", "control", "ingest"])
async def test_a_bridge_that_asks_for_tokens_says_so(open_client, tmp_path, role):
    """The document names the ways to show a token, and the role of each operation; problems are as described."""
    one = Granted((role,))
    reader = Granted(("view",), "a.")
    client = await open_client(authentication=asking_for(tmp_path / "tokens", [one, reader]))
    assert (await client.get(PATH)).status == 401
    document = await (await client.get(PATH, headers=reader.headers)).json()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "cookie"}
    for route in API_ROUTES:
        operation = document["paths"][route.plain][route.method.lower()]
        assert operation["description"] == f"Needs the role {route.role}."
        assert operation["security"] == [{"bearer": []}, {"cookie": []}]
        path = re.sub(r"\{\w+\}", "1", route.plain)
        for headers in ({}, one.headers):
            response = await client.request(route.method, path, headers=headers)
            check_answer(
                document, operation, response.status, response.content_type, await response.read()
            )


async def test_a_bridge_that_asks_for_nothing_says_so(client):
    """No operation has a security requirement, which would keep generated clients from calling it."""
    text = await (await client.get(PATH)).text()

    assert '"security"' not in text
    assert '"securitySchemes":{}' in text


RECORDS = {
    "Session": query_types.SessionSummary,
    "SessionDetails": query_types.SessionDetails,
    "BatchWithImages": query_types.ListedBatch,
    "Command": query_types.SubmittedCommand,
    "Comparison": query_logged.Comparison,
    "Epoch": query_types.EpochAverages,
    "Gpu": query_types.GpuUsage,
    "Performance": query_types.PerformanceReport,
    "LossOfAttempt": query_types.LossBin,
    "Attempt": query_types.SessionAttempt,
    "Event": query_logged.LoggedEvent,
    "CurvePoint": query_logged.CurvePoint,
    "ComparedSession": query_logged.ComparedSession,
}
"""Schemas, and the records that BridgeClient makes of them."""


@pytest.mark.parametrize("name", RECORDS)
def test_the_records_of_the_client_have_the_same_fields(name):
    """What the document says and what BridgeClient returns do not drift apart."""
    assert {one.name for one in fields(RECORDS[name])} == SCHEMAS[name]["properties"].keys()


async def test_a_client_keeps_the_document_until_it_changes(client):
    """With the tag of what it has it gets a 304."""
    first = await client.get(PATH)
    again = await client.get(PATH, headers={"If-None-Match": first.headers["ETag"]})
    other = await client.get(PATH, headers={"If-None-Match": '"other"'})

    assert (first.status, again.status, other.status) == (200, 304, 200)
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-cache"
    assert await again.read() == b""


@pytest.mark.parametrize("root", ["/team/bridge", ""], ids=["passed on", "removed by a proxy"])
async def test_its_server_is_where_the_bridge_is_to_the_public(open_client, root):
    """Below a public path, whether or not a proxy removes that; else at the address that was asked."""
    public = "https://ml.example.org/team/bridge"
    client = await open_client(public_url=f"{public}/")
    found = await (await client.get(f"{root}{PATH}")).json()
    assert found["servers"] == [{"url": public}]
    bare = await open_client()
    found = await (await bare.get(PATH)).json()
    assert found["servers"] == [{"url": f"http://{bare.host}:{bare.port}"}]
