#!/usr/local/bin/python3
"""An S3 server that keeps objects as files, with as much of S3 as a bridge uses; any key will do."""

import hashlib
import json
import signal
import sys
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

FOLDER = Path(sys.argv[-1])
PORT = int(sys.argv[sys.argv.index("--port") + 1].removeprefix(":"))
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
METADATA = "x-amz-meta-"
"""What begins the names of what clients say of their objects; also the folder of that, beside the buckets."""


class Connection(BaseHTTPRequestHandler):
    """Answers one client."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_words):
        """Be silent."""

    def do_PUT(self):
        """Keep an object."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = {
            name: value for name, value in self.headers.items() if name.lower().startswith(METADATA)
        }
        for path, content in ((self._metadata(), json.dumps(said).encode()), (self._path(), body)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._answer(200, b"", ETag=_tag(body))

    def do_GET(self):
        """Return an object, a part of it, or what a bucket holds."""
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        path = self._path()
        if url.path == "/health":
            self._answer(200, b"")
        elif "location" in query:
            self._answer(200, f"<LocationConstraint {NAMESPACE}/>".encode())
        elif path.is_dir():
            self._answer(200, _listing(path, query.get("prefix", [""])[0]))
        elif path.is_file():
            self._object(path)
        else:
            code = "NoSuchKey" if "/" in url.path.strip("/") else "NoSuchBucket"
            self._answer(404, f"<Error><Code>{code}</Code></Error>".encode())

    do_HEAD = do_GET  # noqa: N815 -- the library's name

    def do_DELETE(self):
        """Forget an object."""
        self._path().unlink(missing_ok=True)
        self._answer(204, b"")

    def _object(self, path):
        body = path.read_bytes()
        headers = {
            "ETag": _tag(body),
            "Last-Modified": formatdate(path.stat().st_mtime, usegmt=True),
            **json.loads(self._metadata().read_text()),
        }
        if "Range" not in self.headers:
            self._answer(200, body, **headers)
            return
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        part = body[int(first) : int(last or len(body)) + 1]
        place = f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"
        self._answer(206, part, **headers, **{"Content-Range": place})

    def _path(self):
        return FOLDER / unquote(urlsplit(self.path).path).strip("/")

    def _metadata(self):
        return FOLDER / METADATA / unquote(urlsplit(self.path).path).strip("/")

    def _answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if body.startswith(b"<"):
            self.send_header("Content-Type", "application/xml")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(body):
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _listing(bucket, prefix):
    names = sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file())
    rows = "".join(
        f"<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag>"
        f"<Size>{(bucket / name).stat().st_size}</Size></Contents>"
        for name in names
        if name.startswith(prefix)
    )
    return (
        f"<ListBucketResult {NAMESPACE}><Name>{bucket.name}</Name><Prefix>{prefix}</Prefix><KeyCount>{len(names)}</KeyCount>"
        f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
    ).encode()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", PORT), Connection).serve_forever()
