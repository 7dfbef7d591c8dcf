"""The form on a session's page that deletes it."""

from aiohttp import web

from bridge.web.dependencies import deps_of
from bridge.web.identity import sender_of
from bridge.web.pages.form_fields import form_fields
from bridge.web.session_lookup import session_of
from bridge.web.templating import root_of


async def post_delete(request: web.Request) -> web.Response:
    """Delete a session that has ended, and go to the list of sessions."""
    session = await session_of(request)
    images = "images" in await form_fields(request)
    await deps_of(request).delete_session(
        session.id, attempt=None, images=images, force=False, by=sender_of(request, "person")
    )
    note = "deleted-with-images" if images else "deleted"
    back = f"{root_of(request)}?note={note}"
    return web.Response(status=303, headers={"Location": back})
