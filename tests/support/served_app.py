"""The real HTTP server of a bridge in a thread, for tests that read it with a blocking client."""

import asyncio
import threading
from contextlib import contextmanager

from bridge.web import bind_listener, build_app, serve_http


@contextmanager
def served_app(deps):
    """Serve an app with these dependencies at a free port while the block lasts; yields the URL."""
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()
    ready = threading.Event()

    async def serve(listener):
        async with serve_http(build_app(deps), listener):
            ready.set()
            await stopping.wait()

    with bind_listener("127.0.0.1:0") as listener:
        thread = threading.Thread(target=loop.run_until_complete, args=(serve(listener),))
        thread.start()
        try:
            assert ready.wait(60), "the server does not start"
            yield f"http://{listener.address}"
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join()
            loop.close()
