"""An HTTP server that asks for a token, as a bridge does, and notes what it was shown."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class GuardedServer:
    """What the server answers, and what it has seen."""

    def __init__(self):
        """Let nobody in, and answer an empty list of sessions to who is."""
        self.tokens = set()
        self.forbidden = set()
        """Those of them that have not the role."""
        self.hidden = set()
        """Paths that are answered with 404."""
        self.redirects = {}
        """Status and URL by path."""
        self.shown = []
        """Path and Authorization header of each request."""
        self.url = ""

    def answer(self, path, authorization):
        """Return status, headers and body."""
        self.shown.append((path, authorization))
        token = authorization.removeprefix("Bearer ")
        if path in self.redirects:
            status, url = self.redirects[path]
            return status, {"Location": url}, b""
        if token not in self.tokens:
            return self._problem(401, f"nobody knows {token!r}")
        if token in self.forbidden:
            return self._problem(403, f"{token!r} has not the role view")
        if path in self.hidden:
            return self._problem(404, "no such session")
        content = {"sessions": [], "next": None, "commands": []}
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()

    @staticmethod
    def _problem(status, detail):
        content = {"title": "no", "status": status, "detail": detail}
        headers = {"Content-Type": "application/problem+json"}
        return status, headers, json.dumps(content).encode()


@contextmanager
def guarded():
    """Serve a door while the block lasts; its address is in `url`."""
    door = GuardedServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, _ = self.path.partition("?")
            status, headers, body = door.answer(path, self.headers.get("Authorization", ""))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET()

        def do_DELETE(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    door.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
