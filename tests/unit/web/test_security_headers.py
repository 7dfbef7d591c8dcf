"""Headers that tell browsers what a response may do."""

import pytest

EVERYWHERE = ("/", "/nope", "/metrics", "/healthz", "/static/style.css", "/api/v1/sessions")


@pytest.mark.parametrize("path", EVERYWHERE)
async def test_every_response_restricts_what_browsers_may_do(open_client, path):
    """Scripts, styles, images and connections come from the bridge alone, and types are not sniffed."""
    client = await open_client()

    response = await client.get(path)

    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    for part in ("img-src 'self'", "script-src 'self'", "base-uri 'none'", "form-action 'self'"):
        assert part in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Server"] == "trainbridge"


async def test_grafana_may_frame_pages(open_client):
    """Grafana's origin and the configured ones may frame pages, nobody else."""
    client = await open_client(
        grafana_url="https://grafana.example/sub", frame_ancestors=("https://a.example",)
    )

    policy = (await client.get("/")).headers["Content-Security-Policy"]

    assert policy.endswith("frame-ancestors 'self' https://grafana.example https://a.example")


async def test_none_keeps_pages_out_of_every_frame(open_client):
    """With 'none', not even Grafana or the bridge itself may frame pages."""
    client = await open_client(grafana_url="https://grafana.example", frame_ancestors=("'none'",))

    policy = (await client.get("/")).headers["Content-Security-Policy"]

    assert policy.endswith("; frame-ancestors 'none'")
