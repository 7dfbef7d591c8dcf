"""HTTP servers of the tests' own on loopback, which answer by a function and remember what was asked."""

import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int = 200
    body: bytes | str = b""
    headers: dict = field(default_factory=dict)


@dataclass
class Service:
    """A server, and every request that came."""

    url: str
    asked: list


@contextmanager
def serving(answer, *, certificate=None):
    """Serve while the block lasts: `answer` takes an `Asked` and returns an `Answer`, or None to say nothing."""
    asked = []
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Asked(self.command, self.path, headers, body)
            asked.append(request)
            found = answer(request)
            if found is None:
                released.wait(60)
                self.close_connection = True
                return
            content = found.body.encode() if isinstance(found.body, str) else found.body
            # Not send_response, which adds a Date of its own.
            self.send_response_only(found.status)
            for name, value in {"Content-Length": str(len(content)), **found.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    for method in ("PUT", "POST", "DELETE", "HEAD", "CONNECT"):
        setattr(Handler, f"do_{method}", Handler.do_GET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Service(f"{scheme}://127.0.0.1:{server.server_port}", asked)
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()
