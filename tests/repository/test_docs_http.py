"""docs/http-api.md describes every route, parameter, command and error."""

import shlex

import pytest
from aiohttp.test_utils import TestClient, TestServer
from support.markdown import blocks, tables_under
from support.pages import StoredImages, deps_in, pictures, running
from support.runs import rank_session
from support.tools import ROOT

from bridge.protocol import CommandType
from bridge.web import AlertBounds, build_app
from bridge.web.api.compare import get_comparison
from bridge.web.api.curves import list_curves
from bridge.web.api.openapi.document import OPERATIONS, SCHEMAS
from bridge.web.api.runs import get_run
from bridge.web.api.sessions import list_sessions
from bridge.web.app import MAX_BODY_BYTES, ROUTES
from bridge.web.errors import STATUS_OF
from bridge.web.pages.command_forms import FORMS
from bridge.web.pages.image_selection import PARAMETERS

PAGE = (ROOT / "docs" / "http-api.md").read_text()
TABLES = tables_under(PAGE)
EXAMPLES = [line for block in blocks(PAGE, "console") for line in block.splitlines() if line]
BY_THE_SERVER = (405, 413, 500)
"""Statuses that no exception of ours stands for."""

HERE = "http://localhost:8080"


def test_every_route_stands_in_the_table():
    """Method and path are those of the code, in its order."""
    routes = [f"`{route.method} {route.plain}`" for route in ROUTES]

    assert [row[0] for row in TABLES["Routes"]] == routes
    assert [row[1] for row in TABLES["Routes"]] == [route.admits for route in ROUTES]


def test_every_parameter_of_a_link_stands_in_the_table():
    """The page lists everything that a link may select by."""
    names = [row[0] for row in TABLES["Images by time, batch or mistake"]]

    assert names == [f"`{name}`" for name in PARAMETERS]


PARAMETERS_OF = {
    "Sessions": (list_sessions,),
    "The ranks of a run": (get_run,),
    "Several sessions side by side": (get_comparison,),
    "Curves and events of a session": (list_curves,),
}
"""Headings of tables of parameters, and what takes them."""


@pytest.mark.parametrize("heading", PARAMETERS_OF)
def test_parameters_are_those_of_the_openapi_document(heading):
    """The tables and the document that programs read have the same ones; `limit` is the API's alone."""
    named = {row[0].strip("`") for row in TABLES[heading]}
    for endpoint in PARAMETERS_OF[heading]:
        described = {one.name for one in OPERATIONS[endpoint].parameters if one.place == "query"}
        assert named | {"limit"} == described | {"limit"}


def test_what_may_be_null_is_said():
    """Every field of a session that the document lets be null is on the page, where sessions are explained."""
    section = PAGE[PAGE.index("\n### Sessions\n") : PAGE.index("\n### Ranks of a run\n")]
    fields = SCHEMAS["SessionDetails"]["properties"]
    missing = [
        name
        for name, schema in fields.items()
        if {"type": "null"} in schema.get("anyOf", ()) and f"`{name}`" not in section
    ]

    assert missing == []


def test_every_command_stands_in_the_table():
    """Types are the protocol's, parameters those that the page's forms send."""
    parameters = {form.type: form.parameter for form in FORMS}
    rows = [
        [f"`{command.name}`", f"`{parameters[command]}`" if parameters[command] else ""]
        for command in CommandType
    ]

    assert TABLES["Commands"] == rows


def test_every_error_stands_in_the_table():
    """A program finds each status that it may meet."""
    statuses = sorted({*STATUS_OF.values(), *BY_THE_SERVER})

    assert [row[0] for row in TABLES["Errors"]] == [str(status) for status in statuses]
    assert f"{MAX_BODY_BYTES // 1024} KiB" in PAGE


def test_every_route_has_an_example():
    """Each route that people or programs request is shown once with curl."""
    examples = "\n".join(EXAMPLES)
    for route in ROUTES:
        if route.method == "POST" and "/api" not in route.path:
            continue
        if route.is_internal:
            continue
        path = route.plain.replace("{session_id}", "run-1").replace("{epoch}-{batch}", "1-7")
        path = path.replace("{run_id}", "night")
        path = path.replace("{position}", "0").replace("{slot}", "0").replace("{attempt}", "1")

        assert f"{HERE}{path}" in examples


@pytest.mark.parametrize("example", EXAMPLES)
async def test_examples_work(example, tmp_path):
    """Every curl command on the page gets a response without an error."""
    words = shlex.split(example)
    assert words[0] == "curl"
    address = next(word for word in words if word.startswith(HERE))
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    headers = dict(
        words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "-H"
    )
    body = words[words.index("-d") + 1].encode() if "-d" in words else None
    stored = StoredImages(tmp_path)
    allowed = AlertBounds(frozenset(CommandType))
    deps, _ = deps_in(tmp_path, stored=stored, alert_bounds=allowed)
    running(deps)
    rank_session(0, sessions=deps.sessions)
    stored.add("run-1", 1, 7, pictures())

    async with TestClient(TestServer(build_app(deps))) as client:
        path = address.removeprefix(HERE)
        response = await client.request(method, path, headers=headers, data=body)
        await response.read()

    stored.database.close()
    assert response.status == (200 if method == "GET" else 202)
