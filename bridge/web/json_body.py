"""Read the body of a request that posts JSON."""

from aiohttp import web

from bridge.web.errors import UnsupportedMediaTypeError


async def read_json_body(request: web.Request, what: str) -> bytes:
    """Return the body as it is; raises UnsupportedMediaTypeError unless it is called JSON. `what`: what is posted."""
    if request.content_type != "application/json":
        raise UnsupportedMediaTypeError(
            f"send the {what} as JSON, with Content-Type: application/json"
        )
    return await request.read()
