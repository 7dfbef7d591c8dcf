"""A device whose work is done when a test says so, in order, as that of a GPU is."""

import threading
from queue import SimpleQueue

import torch

from bridge.client.capture.device import NoPinnedMemoryError


class FakeDevice:
    """Keeps what it is given to do in a queue; tensors made by `tensor` count as lying on it."""

    def __init__(self):
        self.work = []
        self.tensors = set()
        self.alive = []
        self.capturing = False
        self.has_memory = True
        self.pinned_bytes = 0
        self.reads_of_the_host = []

    def tensor(self, *values, dtype=torch.float32):
        """Return a tensor on the device."""
        return self.put(torch.tensor(values[0] if len(values) == 1 else values, dtype=dtype))

    def put(self, tensor):
        """Have a tensor, and all views of it, count as lying on the device."""
        self.tensors.add(tensor.untyped_storage().data_ptr())
        self.alive.append(tensor)  # its address must not be used again
        return tensor

    def then(self, work):
        """Have the loop's own work done behind what was given before."""
        self.work.append(work)

    def run(self, count=None):
        """Do the oldest work."""
        for _ in range(len(self.work) if count is None else count):
            self.work.pop(0)()

    # what bridge.client.capture.device.Copier promises

    def holds(self, tensor):
        return tensor.untyped_storage().data_ptr() in self.tensors

    def is_capturing(self):
        return self.capturing

    def pinned(self, size_bytes):
        if not self.has_memory:
            raise NoPinnedMemoryError("no pinned memory")
        self.pinned_bytes += size_bytes
        return torch.zeros(size_bytes, dtype=torch.uint8)

    def copy(self, target, source):
        self.work.append(lambda: target.copy_(source))

    def one(self, source):
        return "stream", torch.ones(1, dtype=torch.uint8)


class LateDevice:
    """Host memory that counts as a device's: copies are true when they are asked for, and arrive later."""

    def __init__(self):
        self._copies = SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._copies.put(None)
        self._thread.join()

    def _deliver(self):
        while (copy := self._copies.get()) is not None:
            target, content = copy
            target.copy_(content)

    def holds(self, tensor):
        return True

    def is_capturing(self):
        return False

    def pinned(self, size_bytes):
        return torch.zeros(size_bytes, dtype=torch.uint8)

    def copy(self, target, source):
        self._copies.put((target, source.detach().clone()))

    def one(self, source):
        return "stream", torch.ones(1, dtype=torch.uint8)
