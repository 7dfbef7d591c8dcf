"""The page of a run, its twin in the API, and where its ranks appear on other pages."""

import re
import time

import pytest
from support.runs import gpu, rank_performance, rank_session

from bridge.model import Client, Config


def add_ranks(client, count, *, slow=None, world_size=None):
    """Add the ranks of a run, one of which may be slow."""
    for rank in range(count):
        data = 40.0 if rank == slow else 2.0
        rank_session(
            rank,
            rank_performance(10),
            rank_performance(1_010, seconds={"training": 100 - data, "data": data}, gpus=[gpu()]),
            world_size=world_size or count,
            stepped_at=time.time(),
            sessions=client.deps.sessions,
        )


async def text_of(client, path):
    """Return a page without markup, its white space collapsed."""
    response = await client.get(path)
    assert response.status == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", await response.text()))


async def test_the_page_of_a_run_has_a_row_for_each_rank(open_client):
    """With its step, its phases, its GPU, and a mark at the slowest."""
    client = await open_client()
    add_ranks(client, 4, slow=3, world_size=8)

    text = await text_of(client, "/runs/night")
    page = await (await client.get("/runs/night")).text()

    assert "4 of 8 ranks, 4 connected" in text
    assert "Rank 3 holds up each step by 38%" in text
    assert "Ranks 4\N{EN DASH}7 of 8 have never registered" in text
    rows = re.findall(
        r"<tr class=\"([^\"]*)\">\s*<th scope=\"row\"><a href=\"([^\"]*)\">(\d+)<", page
    )
    assert [(href, rank) for _, href, rank in rows] == [
        ("../sessions/night", "0"),
        *((f"../sessions/night-rank{rank}", str(rank)) for rank in (1, 2, 3)),
    ]
    assert [classes.split() for classes, *_ in rows] == [[], [], [], ["slow"]]
    assert "1,010" in text
    assert "30 GiB of 80 GiB" in text
    assert "style=" not in page, "the content security policy blocks it"


async def test_ranks_are_sorted_and_paged(open_client):
    """512 of them on four pages, the slowest first where that is asked for."""
    client = await open_client()
    add_ranks(client, 512, slow=300)

    page = await (await client.get("/runs/night?sort=straggler")).text()

    assert page.count("<tr class=") == 128
    assert re.search(r"sessions/night-rank300\">300<", page[: page.index('sessions/night-rank1"')])
    assert 'href="../runs/night?sort=straggler&amp;offset=128"' in page
    last = await (await client.get("/runs/night?sort=straggler&offset=384")).text()
    assert last.count("<tr class=") == 128
    assert 'rel="next"' not in last
    behind = await text_of(client, "/runs/night?offset=900")
    assert "The list ends before this page" in behind
    assert (await client.get("/runs/night?sort=colour")).status == 400


async def test_the_api_has_the_same(open_client):
    """Numbers are numbers, and what is not reported is null."""
    client = await open_client()
    add_ranks(client, 3, slow=1)
    client.deps.sessions.find("night-rank2").performance = None

    run = await (await client.get("/api/v1/runs/night?sort=straggler&limit=2")).json()

    assert (run["run_id"], run["world_size"], run["registered"], run["connected"]) == (
        "night",
        3,
        3,
        3,
    )
    assert (run["slowest_rank"], run["ranks_behind"], run["missing_ranks"]) == (1, [], [])
    assert run["findings"][0]["severity"] == "bad"
    first, second = run["ranks"]
    assert (first["rank"], first["session_id"], first["slow"]) == (1, "night-rank1", True)
    assert first["phase_shares"] == {"training": 0.6, "data": 0.4}
    assert first["gpu_throttle_reasons"] == []
    assert second["rank"] == 0
    everything = await (await client.get("/api/v1/runs/night")).json()
    silent = everything["ranks"][2]
    assert (silent["step_seconds"], silent["gpu_utilization_ratio"]) == (None, None)
    assert silent["gpu_throttle_reasons"] is None


@pytest.mark.parametrize("path", ["/runs/other", "/api/v1/runs/other", "/runs/..%2F", "/runs/a b"])
async def test_a_run_that_is_not_known_is_not_found(open_client, path):
    """And says what may be the reason."""
    client = await open_client()
    add_ranks(client, 2)

    response = await client.get(path)

    assert response.status == 404
    if path.endswith("other"):
        assert "no ranks of a run of this name are known here" in (await response.text()).lower()


async def test_ranks_that_have_left_memory_are_still_shown(open_client):
    """A run is looked at after its end as well."""
    client = await open_client()
    add_ranks(client, 3)
    gone = client.deps.sessions.find("night-rank1")
    client.deps.archive.kept[gone.id] = gone
    client.deps.sessions.expire(gone)

    run = await (await client.get("/api/v1/runs/night")).json()
    text = await text_of(client, "/sessions/night")

    assert [rank["rank"] for rank in run["ranks"]] == [0, 1, 2]
    assert "Rank 0 of night" in text


async def test_the_page_of_a_rank_shows_its_run(open_client):
    """Itself, what stands out, and as many others as there is room for."""
    client = await open_client()
    add_ranks(client, 64, slow=50)

    page = await (await client.get("/sessions/night-rank40")).text()

    ranks = re.findall(r"<th scope=\"row\"><a href=\"../sessions/night[^\"]*\">(\d+)<", page)
    assert ranks == [*map(str, range(10)), "40", "50"]
    assert "Rank 50 holds up each step" in page
    assert "All 64 ranks" in page


async def test_the_page_of_a_rank_that_only_measures_leads_to_the_one_that_logs(open_client):
    """It will never have a loss, an image or a command, so it has no places for them."""
    client = await open_client()
    add_ranks(client, 2)

    page = await (await client.get("/sessions/night-rank1")).text()
    text = await text_of(client, "/sessions/night-rank1")

    assert '<a href="../sessions/night">Rank 0</a> reports losses and images' in page
    assert '<a href="../runs/night">Compare the ranks</a>' in page
    for words in ("No batch has reported a loss", "Newest images", "highest loss", "Commands"):
        assert words not in text


async def test_a_session_that_trains_alone_has_no_section(open_client):
    """Nor has the only rank of a run that reports."""
    client = await open_client()
    client.deps.sessions.register("alone", Client(run_id="alone"), Config())
    add_ranks(client, 1, world_size=8)

    for name in ("alone", "night"):
        page = await (await client.get(f"/sessions/{name}")).text()
        assert 'data-live="ranks"' not in page
    assert (await client.get("/runs/alone")).status == 404


async def test_the_first_page_lists_a_run_once(open_client):
    """64 ranks are one card, which leads to all of them."""
    client = await open_client()
    add_ranks(client, 64)
    client.deps.sessions.register("alone", Client(), Config())

    page = await (await client.get("/")).text()

    assert re.findall(r"<h3><a href=\"./sessions/([^\"]*)\"", page) == ["alone", "night"]
    assert '<a href="./runs/night">64 ranks</a>, 64 connected' in page


async def test_the_api_lists_every_session_with_its_place_in_a_run(open_client):
    """Programs that list sessions go on finding all of them."""
    client = await open_client()
    add_ranks(client, 3)
    client.deps.sessions.register("alone", Client(), Config())

    listed = await (await client.get("/api/v1/sessions?sort=name")).json()

    places = [(one["run_id"], one["rank"], one["world_size"]) for one in listed["sessions"]]
    assert places == [(None, None, None), ("night", 0, 3), ("night", 1, 3), ("night", 2, 3)]
