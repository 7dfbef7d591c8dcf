"""Serves images that lie in the spool of this bridge alone to the bridges that share its database."""

from aiohttp import web

from bridge.errors import InvalidDataError, NotFoundError
from bridge.storage.index import ImageLocation
from bridge.storage.objects import KEY
from bridge.storage.shard_keys import parse_key
from bridge.web.dependencies import deps_of
from bridge.web.request_params import whole_param

LONGEST = 8 << 20
"""Bytes of one image, as many as another bridge reads of an answer."""

LAST_OFFSET = 2**53


async def shard_bytes(request: web.Request) -> web.Response:
    """Return one image of a shard, which its place and its length in it name; raises NotFoundError where it is not here."""
    deps, key = deps_of(request), request.match_info["key"]
    length = whole_param(request, "length", 0, highest=LONGEST)
    if not length:
        raise InvalidDataError("length must be that of an image")
    if not KEY.fullmatch(key) or parse_key(key) is None:
        raise NotFoundError("this is not the key of a shard")
    offset = whole_param(request, "offset", 0, highest=LAST_OFFSET)
    location = ImageLocation(key, stored=False, offset=offset, length=length)
    body = await deps.spool_threads.run(lambda: deps.read_spooled(location))
    return web.Response(body=body, content_type="image/jpeg", headers={"Cache-Control": "no-store"})
