"""Sessions side by side, as a page and as JSON."""

import json
import re

from support.attempts import three_attempts
from support.pages import FakeArchive, running

from bridge.model import Batch, Client, Config, Epoch
from bridge.session import Session
from bridge.web.comparison.selection import MAX_COMPARED


def configured(deps, name, **config):
    """Return a session with a configuration of its own that has reported a loss."""
    session = deps.sessions.register(name, Client(run_config=config), Config()).session
    session.apply(Batch(0, 0, 0.5), session.registered_at)
    return session


async def text_of(client, address):
    """Return the text of a page that is there."""
    response = await client.get(address)
    assert response.status == 200
    return await response.text()


async def test_sessions_are_shown_side_by_side(open_client):
    """Curves, results and what differs are on one page, archived sessions included."""
    old = Session("old", Client(run_config={"lr": 0.1, "seed": 1}), Config(), now=1.0)
    old.apply(Batch(0, 0, 0.25), 2.0)
    client = await open_client(archive=FakeArchive({"old": old}))
    configured(client.deps, "new", lr=0.2, seed=1)

    text = await text_of(client, "/compare?sessions=new,old")

    assert re.findall(r'class="line (c\d)"', text) == ["c0", "c1"]
    assert '<th scope="row">lr</th><td>0.2</td><td>0.1</td>' in text
    assert "1 key equal" in text
    assert "<b>0.2500</b> <small>best</small>" in text


async def test_the_same_sessions_are_one_click_away_in_grafana(open_client):
    """Where the bridge knows a Grafana, and where there is something to compare."""
    client = await open_client(grafana_url="http://grafana.example")
    for name in ("a", "b"):
        running(client.deps, name)

    text = await text_of(client, "/compare?sessions=a,b")

    assert "http://grafana.example/d/trainbridge-compare?var-session=a&amp;var-session=b" in text
    assert "grafana.example/d" not in await text_of(client, "/compare")


async def test_a_form_without_scripts_can_name_them_one_by_one(open_client):
    """Boxes send a name each, and an empty field sends none."""
    client = await open_client()
    for name in ("a", "b"):
        running(client.deps, name)

    text = await text_of(client, "/compare?sessions=a&sessions=b&sessions=&sessions=a&by=time")

    assert text.count("checked>") == 2
    assert '<option value="time" selected>' in text


async def test_names_that_nobody_has_are_on_the_page(open_client):
    """The others are still shown; what cannot be a name is not repeated."""
    client = await open_client()
    running(client.deps, "a")

    text = await text_of(client, "/compare?sessions=a,gone,<script>")

    assert "has the name <b>gone</b>:" in text
    assert "script>," not in text
    assert 'href="./sessions/a"' in text


async def test_no_more_are_compared_than_a_reader_can_distinguish(open_client):
    """Those beyond the limit are named, and can be had by leaving others out."""
    client = await open_client()
    names = [f"run-{number}" for number in range(MAX_COMPARED + 2)]
    for name in names:
        running(client.deps, name)

    text = await text_of(client, f"/compare?sessions={','.join(names)}")

    assert "Left out: <b>run-8</b>, <b>run-9</b>" in text
    assert text.count("checked>") == MAX_COMPARED


async def test_without_sessions_the_page_says_how_to_choose_some(open_client):
    """Nothing, or nothing that exists, is not an error."""
    client = await open_client()

    assert "Nothing to compare yet" in await text_of(client, "/compare")
    assert "Nothing to compare yet" in await text_of(client, "/compare?sessions=gone")


async def test_a_curve_that_nobody_has_is_replaced_with_a_word(open_client):
    """An old link shows what there is, and says so."""
    client = await open_client()
    running(client.deps, "a").apply(Epoch(0, 0.4), 2.0)

    text = await text_of(client, "/compare?sessions=a&curve=epoch.accuracy")
    assert "None of these sessions has the curve that the link asks for" in text

    text = await text_of(client, "/compare?sessions=a&curve=epoch.loss&by=time")
    assert "<h2>Loss by epoch</h2>" in text


async def test_the_list_leads_here(open_client):
    """With two sessions each has a box; a session on its own has nothing to compare with."""
    client = await open_client()
    running(client.deps, "a")
    assert 'form="compare"' not in await text_of(client, "/")

    running(client.deps, "b")
    text = await text_of(client, "/")

    assert '<input type="checkbox" form="compare" name="sessions" value="a">' in text
    assert '<form id="compare" method="get" action="./compare">' in text
    assert "compare?sessions=a" in await text_of(client, "/sessions/a")


async def test_a_session_shows_its_configuration(open_client):
    """On its page and in the API, whatever a value is."""
    client = await open_client()
    configured(client.deps, "a", lr=1e-3, nesterov=True, note="<b>")

    text = await text_of(client, "/sessions/a")
    assert "<dt>lr</dt><dd>0.001</dd>" in text
    assert "<dt>nesterov</dt><dd>true</dd>" in text
    assert "<dt>note</dt><dd>&lt;b&gt;</dd>" in text
    session = await (await client.get("/api/v1/sessions/a")).json()
    assert session["config"] == {"lr": 0.001, "nesterov": True, "note": "<b>"}


async def test_the_api_has_the_same_comparison(open_client):
    """Points, results and configurations by session, and what is not compared."""
    client = await open_client()
    configured(client.deps, "a", lr=0.1, seed=1)
    configured(client.deps, "b", lr=0.2, seed=1).apply(Batch(0, 1, float("nan")), 2.0)

    response = await client.get("/api/v1/compare?sessions=a,b,gone")
    found = json.loads(await response.text(), parse_constant=lambda name: 1 / 0)

    assert found["unknown"] == ["gone"]
    assert found["config"] == {
        "different": [{"name": "lr", "values": {"a": 0.1, "b": 0.2}}],
        "equal": [{"name": "seed", "values": {"a": 1, "b": 1}}],
        "cells": [
            {"name": name, "session_id": session, "value": value, "is_different": name == "lr"}
            for name, session, value in (
                ("lr", "a", 0.1),
                ("lr", "b", 0.2),
                ("seed", "a", 1),
                ("seed", "b", 1),
            )
        ],
    }
    assert [line["session_id"] for line in found["curve"]["lines"]] == ["a", "b"]
    assert found["curve"]["lines"][0]["points"] == [
        {"session_id": "a", "x": 0.5, "mean": 0.5, "low": 0.5, "high": 0.5}
    ]
    assert found["curve"]["lines"][1]["points"][1]["mean"] == "NaN"
    assert found["sessions"][1]["nonfinite_losses"] == 1
    assert found["sessions"][0]["best"]["loss"] == 0.5
    assert found["curves"] == ["loss"]


async def test_all_attempts_of_a_session_are_compared(open_client):
    """Its curve begins with its first attempt, not with that which goes on."""
    *former, newest = three_attempts()
    client = await open_client(archive=FakeArchive({"run-1": newest}, former))
    running(client.deps, "a")

    text = await text_of(client, "/compare?sessions=run-1,a")
    assert '<th scope="row">Attempts</th><td>3</td><td>1</td>' in text

    found = await (await client.get("/api/v1/compare?sessions=run-1,a")).json()
    assert [len(line["points"]) for line in found["curve"]["lines"]] == [50, 3]
    assert [one["lost_seconds"] for one in found["sessions"]] == [7150.0, None]


async def test_the_api_refuses_what_it_cannot_compare(open_client):
    """The problem says what would be right."""
    client = await open_client()
    running(client.deps, "a")

    for query, words in (
        ("", "sessions must name"),
        ("sessions=,", "sessions must name"),
        ("sessions=a,%3Cb%3E", "sessions has '<b>', which no session can be called"),
        ("sessions=a&by=epoch", "by must be step or time"),
        ("sessions=a&curve=x", "curve must be one that these sessions have: loss"),
    ):
        response = await client.get(f"/api/v1/compare?{query}")
        assert response.status == 400
        assert words in (await response.json())["detail"]
