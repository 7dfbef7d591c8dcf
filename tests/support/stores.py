"""An object store in memory, which misbehaves on request."""

import threading

from bridge.errors import NotFoundError
from bridge.storage.objects import StoredObject


class MemoryStore:
    """Keeps objects in a dict."""

    def __init__(self):
        """Start empty and well."""
        self.objects = {}
        self.metadata = {}
        self.fault = None
        """Raised by every request, where it is set."""
        self.gate = threading.Event()
        """Requests hang while it is not set."""
        self.gate.set()
        self.requests = []
        """What was asked, and of which key."""

    def put(self, key, file, metadata):
        """Store a file."""
        self._ask("put", key)
        self.objects[key] = file.read_bytes()
        self.metadata[key] = metadata

    def read(self, key, offset, length):
        """Return part of an object."""
        self._ask("read", key)
        if key not in self.objects:
            raise NotFoundError(f"no object {key}")
        return self.objects[key][offset : offset + length]

    def list(self, prefix=""):
        """Go through the objects."""
        self._ask("list", prefix)
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield StoredObject(key, len(self.objects[key]))

    def delete(self, key):
        """Remove an object."""
        self._ask("delete", key)
        self.objects.pop(key, None)

    def puts(self):
        """Count the uploads that were tried."""
        return sum(1 for what, _ in self.requests if what == "put")

    def _ask(self, what, key):
        self.requests.append((what, key))
        self.gate.wait()
        if self.fault is not None:
            raise self.fault
