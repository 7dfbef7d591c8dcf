"""How the ranks of a run tell each other what rank 0 has been commanded, and what became of it."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import uuid4

from bridge.client.encoding.isolation import let_through

CPU_BACKENDS = ("gloo", "mpi", "ucc", "undefined")
"""Backends that take a tensor in host memory; a group of the default backends calls itself undefined."""

AllGather = Callable[[bytes], Sequence[bytes]]
"""Takes some bytes, of which every rank has equally many, and returns those of all ranks, by rank."""


class Collective(Protocol):
    """Calls that every rank makes at the same step, with equally many bytes."""

    rank: int

    def number_of_zero(self, number: int) -> int:
        """Return rank 0's number, which has at most 31 bits, on every rank."""

    def bytes_of_zero(self, data: bytes) -> bytes:
        """Return rank 0's bytes on every rank."""

    def all_gather(self, data: bytes) -> Sequence[bytes]:
        """Return the bytes of every rank, by rank."""


def torch_collective() -> Collective | None:
    """Return how this process reaches the others by torch's process group; None: there is none, or nobody else in it."""
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is None or not distributed.is_initialized():
            return None
        if distributed.get_world_size() == 1:
            return None
        return TorchCollective(sys.modules.get("torch"), distributed)
    except Exception as error:  # noqa: BLE001 -- a build without distributed training
        let_through(error)
        return None


class GivenCollective:
    """Works by the program's own call: of MPI, say, or of JAX, whose ranks the SDK need not know."""

    def __init__(self, all_gather: AllGather) -> None:
        """Find out which rank this is, by a call that every rank makes. Raises ValueError where that does not show."""
        self.call = all_gather
        mark = uuid4().bytes
        marks = self.all_gather(mark)
        if mark not in marks:
            raise ValueError("what all_gather has returned lacks what this rank has given it")
        self.rank = marks.index(mark)
        self.size = len(marks)

    def number_of_zero(self, number: int) -> int:
        """Return rank 0's number."""
        return int.from_bytes(self.bytes_of_zero(number.to_bytes(4, "big")), "big")

    def bytes_of_zero(self, data: bytes) -> bytes:
        """Return rank 0's bytes."""
        return self.all_gather(data)[0]

    def all_gather(self, data: bytes) -> Sequence[bytes]:
        """Return the bytes of every rank. Raises ValueError where they cannot be those."""
        gathered = [bytes(part) for part in self.call(data)]
        if not gathered or any(len(part) != len(data) for part in gathered):
            raise ValueError(
                f"all_gather has returned {len(gathered)} parts, and not {len(data)} bytes of every rank"
            )
        return gathered


class TorchCollective:
    """Works by torch's default process group.

    With nccl the answer comes from the GPU, so the caller waits for all work launched before it.
    """

    def __init__(self, torch: Any, distributed: Any) -> None:
        self._torch = torch
        self._distributed = distributed
        self.rank = int(distributed.get_rank())

    def number_of_zero(self, number: int) -> int:
        """Return rank 0's number."""
        device = self._device()
        if device is None:
            return int(self._object_of_zero(number))
        tensor = self._torch.full((1,), number, dtype=self._torch.int32, device=device)
        self._distributed.broadcast(tensor, src=0)
        return int(self._values(tensor)[0])

    def bytes_of_zero(self, data: bytes) -> bytes:
        """Return rank 0's bytes."""
        device = self._device()
        if device is None:
            return bytes(self._object_of_zero(data))
        tensor = self._tensor(data, device)
        self._distributed.broadcast(tensor, src=0)
        return bytes(self._values(tensor))

    def all_gather(self, data: bytes) -> Sequence[bytes]:
        """Return the bytes of every rank."""
        size, device = self._distributed.get_world_size(), self._device()
        if device is None:
            objects: list[Any] = [None] * size
            self._distributed.all_gather_object(objects, data)
            return objects
        tensor = self._tensor(data, device)
        parts = [self._torch.empty_like(tensor) for _ in range(size)]
        self._distributed.all_gather(parts, tensor)
        return [bytes(self._values(part)) for part in parts]

    def _device(self) -> Any:
        """Return where the group takes tensors; None where only torch knows."""
        backend = str(self._distributed.get_backend())
        if backend in CPU_BACKENDS or "cpu" in backend:
            return self._torch.device("cpu")
        if "nccl" in backend:
            return self._torch.device("cuda", self._torch.cuda.current_device())
        return None

    def _object_of_zero(self, value: Any) -> Any:
        """Find the backend's device by itself, at the price of a second broadcast."""
        values = [value]
        self._distributed.broadcast_object_list(values, src=0)
        return values[0]

    def _tensor(self, data: bytes, device: Any) -> Any:
        on_host = self._torch.tensor(
            list(data), dtype=self._torch.uint8, pin_memory=device.type == "cuda"
        )
        return on_host.to(device, non_blocking=True)

    def _values(self, tensor: Any) -> list[int]:
        """Wait for a GPU on an event: `tolist()` raises in `set_sync_debug_mode("error")`."""
        if tensor.device.type != "cuda":
            return list(tensor.tolist())
        received = self._torch.empty(
            tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True
        )
        received.copy_(tensor, non_blocking=True)
        arrived = self._torch.cuda.Event()
        arrived.record()
        arrived.synchronize()
        return list(received.tolist())
