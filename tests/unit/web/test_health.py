"""Readiness, and what is known of connections."""

from bridge.connections import ConnectionCheck
from bridge.web import Check

CHECKS = (
    ConnectionCheck("object_store", "s3://images at https://s3.example.org", "no such bucket"),
    ConnectionCheck("otlp", "http://host:4317", is_checked=False),
)
FINE, FAILING = Check("commits", lambda: ""), Check("spool", lambda: "it is gone")


async def test_readiness_does_not_depend_on_connections(open_client):
    """An object store that is down takes no bridge out of service."""
    client = await open_client(readiness=(FINE,), connection_checks=lambda: CHECKS)
    response = await client.get("/readyz")

    assert response.status == 200
    assert await response.text() == "commits: ok\n"


async def test_connections_stand_on_the_verbose_page(open_client):
    """Every connection is there with its target, and with cause and way out where one is wrong."""
    client = await open_client(readiness=(FINE,), connection_checks=lambda: CHECKS)
    response = await client.get("/readyz?verbose")

    assert response.status == 200
    assert (await response.text()).splitlines() == [
        "commits: ok",
        "connection object_store (s3://images at https://s3.example.org): no such bucket",
        "connection otlp (http://host:4317): not checked yet",
    ]


async def test_the_verbose_page_has_every_check(open_client):
    """Without it only what fails is shown, so that a probe's message is short."""
    client = await open_client(readiness=(FINE, FAILING))
    brief, verbose = await client.get("/readyz"), await client.get("/readyz?verbose")

    assert (brief.status, await brief.text()) == (503, "spool: it is gone\n")
    assert (verbose.status, await verbose.text()) == (503, "commits: ok\nspool: it is gone\n")


async def test_what_is_bearable_is_said_and_keeps_the_bridge_ready(open_client):
    """Where no other bridge could do better, trainers stay; anything else that fails sends them away."""
    away = Check("commits", lambda: "the database does not answer", lambda: True)
    client = await open_client(readiness=(away, Check("spool", lambda: "")))
    for path in ("/readyz", "/readyz?verbose"):
        response = await client.get(path)
        assert response.status == 200
        assert "commits: the database does not answer\n" in await response.text()
    client = await open_client(readiness=(away, FAILING))
    response = await client.get("/readyz")
    assert response.status == 503
    assert await response.text() == "commits: the database does not answer\nspool: it is gone\n"
