"""/metrics, /healthz and /readyz."""

import pytest
from support.pages import FakeMetrics

from bridge.web import Check
from bridge.web.exposition import accepts_gzip

LONG = b"training_loss 1\n" * 500


async def test_the_format_asked_for_is_passed_on(open_client):
    """The Accept header reaches the renderer, whose content type is returned in full."""
    metrics = FakeMetrics()
    client = await open_client(metrics=metrics)

    response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})

    assert metrics.accepted == ["application/openmetrics-text"]
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await response.read() == metrics.body


async def test_a_long_page_is_compressed_for_those_who_take_it(open_client):
    """Prometheus asks for gzip and gets the same page, smaller."""
    client = await open_client(metrics=FakeMetrics(LONG))
    address = client.make_url("/metrics")

    async with client.session.get(address, headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert int(packed.headers["Content-Length"]) < len(LONG)
        assert await packed.read() == LONG
    plain = await client.get("/metrics", headers={"Accept-Encoding": "identity"})

    assert "Content-Encoding" not in plain.headers
    assert await plain.read() == LONG


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("", False),
        ("br", False),
        ("identity", False),
    ],
)
def test_what_is_taken_as_gzip(accepted, takes):
    """Accept-Encoding is read as RFC 9110 says, without ever failing."""
    assert accepts_gzip(accepted) is takes


async def test_alive_means_answering(open_client):
    """Liveness depends on nothing else."""
    client = await open_client(readiness=(Check("never", lambda: "broken"),))

    response = await client.get("/healthz")

    assert (response.status, await response.text()) == (200, "ok\n")


async def test_readiness_names_what_fails(open_client):
    """503 names each failing check with its reason, and only those."""
    problems = {"disk": "full", "loop": ""}
    client = await open_client(
        readiness=tuple(Check(name, lambda name=name: problems[name]) for name in problems)
    )

    failing = await client.get("/readyz")
    problems["disk"] = ""
    ready = await client.get("/readyz")

    assert (failing.status, await failing.text()) == (503, "disk: full\n")
    assert (ready.status, await ready.text()) == (200, "disk: ok\nloop: ok\n")
