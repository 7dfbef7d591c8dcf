"""Errors of requests."""


async def test_errors_of_the_api_are_problems(open_client):
    """Programs get RFC 9457 problem JSON, also for unknown addresses and methods."""
    client = await open_client()

    missing = await client.get("/api/v1/nothing")
    wrong = await client.delete("/api/v1/sessions")

    assert (missing.status, missing.content_type) == (404, "application/problem+json")
    assert (await missing.json(content_type=None))["status"] == 404
    assert wrong.status == 405
    assert wrong.headers["Allow"] == "GET, HEAD"
    problem = await wrong.json(content_type=None)
    assert set(problem) == {"type", "title", "status", "detail"}


async def test_errors_of_pages_are_pages(open_client):
    """People get a page with a sentence, and a way out that works at any depth."""
    client = await open_client()

    response = await client.get("/a/b/c")

    text = await response.text()
    assert (response.status, response.content_type) == (404, "text/html")
    assert 'href="../../"' in text
    assert "There is nothing at this address." in text


async def test_an_internal_error_reveals_nothing(open_client):
    """An exception inside is a plain 500, without its text."""

    class Broken:
        def find(self, session_id):
            raise ValueError("secret")

        def entries(self, limit):
            raise ValueError("secret")

    client = await open_client(archive=Broken())

    for path in ("/", "/sessions/x", "/api/v1/sessions"):
        response = await client.get(path)

        assert response.status == 500
        assert "secret" not in await response.text()
