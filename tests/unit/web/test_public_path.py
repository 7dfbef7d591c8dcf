"""A public URL with a path: everything is there and links hold, whether or not a proxy removes the path."""

import re
from urllib.parse import urljoin

import pytest
from support.pages import pictures, running

from bridge.web.app import ROUTES
from bridge.web.links import OWN_NAMES

PUBLIC = "https://ml.example.org/team/trainbridge"
PATH = "/team/trainbridge"
PAGES = ("/", "/sessions/run-1", "/sessions/run-1/batches/1-0")


@pytest.mark.parametrize("root", [PATH, ""], ids=["passed on", "removed by a proxy"])
@pytest.mark.parametrize("page", PAGES)
async def test_every_link_of_a_page_leads_somewhere(open_client, stored, root, page):
    """Links, pictures, scripts and styles of a page are below the same path, and are there."""
    client = await open_client(public_url=PUBLIC)
    running(client.deps)
    stored.add("run-1", 1, 0, pictures())
    response = await client.get(f"{root}{page}")
    assert response.status == 200

    text = await response.text()
    links = {
        urljoin(f"{root}{page}", link) for link in re.findall(r'(?:href|src)="([^"#]+)"', text)
    }

    assert len(links) > 5
    for link in links:
        assert link.startswith(f"{root}/")
        assert (await client.get(link)).status == 200, link


async def test_the_path_itself_leads_to_the_first_page(open_client):
    """Without its slash, relative links would begin one level too high."""
    client = await open_client(public_url=PUBLIC)

    response = await client.get(PATH, allow_redirects=False)

    assert response.status == 308
    assert urljoin(f"https://ml.example.org{PATH}", response.headers["Location"]) == f"{PUBLIC}/"


async def test_redirects_and_problems_keep_to_the_path(open_client, stored):
    """The way to a batch's images stays below the path, and a program's 404 is JSON there too."""
    client = await open_client(public_url=PUBLIC)
    running(client.deps)
    stored.add("run-1", 1, 0, pictures())

    shown = await client.get(f"{PATH}/go/images?session=run-1&batch=1-0")
    missing = await client.get(f"{PATH}/api/v1/sessions/nobody")

    assert (shown.status, shown.url.path) == (200, f"{PATH}/sessions/run-1/batches/1-0")
    assert (missing.status, missing.content_type) == (404, "application/problem+json")


async def test_probes_and_scrapes_do_not_need_the_path(open_client):
    """The kubelet and Prometheus ask the bridge itself."""
    client = await open_client(public_url=PUBLIC)

    for path in ("/healthz", "/metrics", f"{PATH}/metrics"):
        assert (await client.get(path)).status == 200


async def test_a_path_like_one_of_our_own_is_left_to_the_proxy(open_client):
    """Below /sessions there are sessions, not the whole bridge once more."""
    client = await open_client(public_url="https://ml.example.org/sessions")

    assert (await client.get("/sessions/metrics")).status == 404
    assert {route.path.split("/")[1] for route in ROUTES} - {""} <= OWN_NAMES
