"""Pictures that say in words why an image is not shown."""

from html import escape

from aiohttp import web

from bridge.errors import BridgeError, ImageAwayError, ImageLostError, StorageError

STORE = ("The image store", "does not answer", "at the moment")
GONE = ("This image is", "not kept", "any longer")

NAME_LENGTH = 20
"""Of the name of a bridge, what fits into the picture."""

SIZE = 224
LINE_HEIGHT = 24


def is_picture_wanted(request: web.Request) -> bool:
    """Return whether a browser asks for an image of a page, which it cannot show a sentence in place of."""
    if request.headers.get("Sec-Fetch-Dest") == "image":
        return True
    return request.headers.get("Accept", "").startswith("image/")


def placeholder_response(error: BridgeError) -> web.Response:
    """Return a picture in place of an image that cannot be read, with the status that the error has elsewhere."""
    is_passing = isinstance(error, StorageError)
    headers = {"Cache-Control": "no-store", **({"Retry-After": "5"} if is_passing else {})}
    return web.Response(
        text=_svg(_lines_of(error)),
        status=503 if is_passing else 404,
        content_type="image/svg+xml",
        headers=headers,
    )


def _lines_of(error: BridgeError) -> tuple[str, ...]:
    if isinstance(error, ImageAwayError):
        return "On bridge", escape(error.bridge_id[:NAME_LENGTH]), "which does not answer"
    if isinstance(error, ImageLostError):
        return "Lost with bridge", escape(error.bridge_id[:NAME_LENGTH]), "which is gone"
    return STORE if isinstance(error, StorageError) else GONE


def _svg(lines: tuple[str, ...]) -> str:
    top = (SIZE - LINE_HEIGHT * len(lines)) // 2 + 17
    texts = "".join(
        f'<text x="50%" y="{top + LINE_HEIGHT * number}">{line}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE}" height="{SIZE}" viewBox="0 0 {SIZE} {SIZE}">'
        f'<rect width="100%" height="100%" fill="#d5d6cf"/>'
        '<g fill="#3f464e" font-family="system-ui, sans-serif" font-size="17" text-anchor="middle">'
        f"{texts}</g></svg>"
    )
