"""An issuer of JSON Web Tokens on loopback, with keys that rotate, and outages."""

import json
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
SECONDS = 3_600


class IssuerOfTests:
    """What it publishes, and tokens that it signs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, str]] = []
        """Of each: its path, and the Authorization that it showed."""
        self.keys: dict[str, object] = {}
        self.answers: dict[str, object] = {}
        """In place of what stands at a path: (status, headers, body), or a function of the handler."""
        self.rotate("first")

    def rotate(self, key_id: str, *, kind: str = "EC", keep: bool = False) -> None:
        """Sign with a new key from now on; the others are published no longer unless they are kept."""
        if not keep:
            self.keys.clear()
        make = {
            "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
            "RSA": lambda: rsa.generate_private_key(65_537, 2_048),
        }
        self.keys[key_id] = make[kind]()

    def document(self, path: str) -> object:
        """Return what stands at a path."""
        if path == DISCOVERY:
            return {"issuer": self.url, "jwks_uri": self.url + KEYS}
        return {"keys": [self.public(name) for name in self.keys]} if path == KEYS else None

    def public(self, key_id: str) -> dict[str, object]:
        """Return a key as it is published."""
        key = self.keys[key_id].public_key()
        kind = RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else ECAlgorithm
        return {**json.loads(kind.to_jwk(key)), "kid": key_id, "use": "sig"}

    def token(self, *, key=None, headers=None, algorithm="", **claims) -> str:
        """Return a signed token; a claim that is None is left out."""
        key_id, newest = [*self.keys.items()][-1]
        signing = key or newest
        always = {
            "iss": self.url,
            "aud": "trainbridge",
            "sub": "system:serviceaccount:team-a:trainer",
            "exp": int(time.time()) + SECONDS,
            "kubernetes.io": {"namespace": "team-a"},
        }
        content = {name: value for name, value in {**always, **claims}.items() if value is not None}
        is_rsa = isinstance(signing, rsa.RSAPrivateKey)
        return jwt.encode(
            content,
            signing,
            algorithm=algorithm or ("RS256" if is_rsa else "ES256"),
            headers={"kid": key_id} if headers is None else headers,
        )

    def fetches(self, path: str = KEYS) -> int:
        """Return how often a path was asked for."""
        return [asked for asked, _ in self.requests].count(path)


@contextmanager
def running_issuer(certificate=None):
    """Serve an issuer on loopback; with a certificate (support.certificates.Files), over TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    server.issuer = IssuerOfTests(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield server.issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = self.server.issuer
        issuer.requests.append((self.path, self.headers.get("Authorization", "")))
        answer = issuer.answers.get(self.path)
        if callable(answer):
            answer(self)
            return
        document = issuer.document(self.path)
        status, headers, body = answer or (
            404 if document is None else 200,
            {},
            json.dumps(document).encode(),
        )
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
