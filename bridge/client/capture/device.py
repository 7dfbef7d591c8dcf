"""Copies from a GPU to host memory, made by the GPU itself in the order of the loop's own work."""

import ctypes
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from bridge.client.capture.tensors import BFLOAT16, array_of, is_dense, plain, torch_module, widened

SMALL_BYTES = 4096
"""Copies up to this size share large blocks: pinning memory costs a system call each time."""

SHARED_BYTES = 1 << 18

FLAGS = 1024
"""Flags allocated together."""

FLAG_SPACING = 64
"""Bytes from one flag to the next: a cache line."""

MAX_STREAMS = 64

LARGER_SIZES = 3
"""How many block sizes are tried, from the one needed upwards, before more memory is pinned."""


CUDAGRAPH_TREES = "torch._inductor.cudagraph_trees"
"""Loaded where torch.compile replays graphs; it resets their memory, and fails on recorded uses of it."""


class CapturingError(RuntimeError):
    """A CUDA graph is being captured: there are no computed values yet that could be copied."""


class NoPinnedMemoryError(RuntimeError):
    """The system provides no page-locked memory, which a GPU can write to by itself."""


class Copier(Protocol):
    """Copies on the current stream of the calling thread, without waiting for it."""

    def holds(self, tensor: Any) -> bool:
        """Return whether a tensor is in the memory of such a device."""

    def is_capturing(self) -> bool:
        """Return whether the thread's work is being recorded instead of done."""

    def pinned(self, size_bytes: int) -> Any:
        """Return a tensor of bytes that the device can write to; raises NoPinnedMemoryError."""

    def copy(self, target: Any, source: Any) -> None:
        """Enqueue a copy, which the device makes after all work enqueued so far."""

    def one(self, source: Any) -> tuple[Any, Any]:
        """Return a key of the stream that a copy of `source` is enqueued on, and a tensor there that holds 1."""


class Transfer:
    """The copies that one call has enqueued, and whether they have arrived.

    The last copy on each stream sets a flag in host memory, and waiting means reading that flag: no
    thread of the SDK ever makes a CUDA call (one would invalidate the capture of a graph, and a thread
    that is inside one when the process ends aborts it).
    """

    __slots__ = ("_blocks", "_flags", "_has_arrived", "_owner", "_streams")

    def __init__(self, owner: "DeviceCopies") -> None:
        """Start empty."""
        self._owner = owner
        self._blocks: list[Block] = []
        self._flags: list[Flag] = []
        self._streams: dict[Any, tuple[Any, Flag]] = {}
        """By stream: the 1 that is copied after all else, and the flag that it is copied to."""
        self._has_arrived = False

    def add(
        self,
        rows: Any,
        *,
        is_separate: bool = False,
        reduce: Callable[[Any], Any] = lambda rows: rows,
    ) -> "TransferredArray":
        """Enqueue a copy of rows, or of what `reduce` returns for them; separate ones are released separately.

        Raises whatever PyTorch raises.
        """
        copier = self._owner.copier
        key, one = copier.one(rows)
        rows = plain(reduce(rows))
        if key not in self._streams:
            self._streams[key] = one, self._owner.flag()
        block = self._owner.block(rows.numel() * rows.element_size())
        try:
            target, array = block.as_like(rows)
            copier.copy(target, rows)
        except BaseException:
            self._owner.give_back(block)
            raise
        if not is_separate:
            self._blocks.append(block)
        return TransferredArray(self, block, array)

    def seal(self) -> None:
        """Enqueue the setting of the flags after all copies; where a broken device sets none, they never arrive."""
        for one, flag in self._streams.values():
            self._flags.append(flag)
            with suppress(RuntimeError):
                self._owner.copier.copy(flag.tensor, one)
        self._streams.clear()

    @property
    def has_arrived(self) -> bool:
        """Return whether all copies have arrived; once true, it stays true."""
        if not self._has_arrived and not self._streams:
            self._has_arrived = all(flag.array[0] for flag in self._flags)
        return self._has_arrived

    def release(self) -> None:
        """Give back all memory but that of separate rows; call it once."""
        for block in self._blocks:
            self.give_back(block)
        if self.has_arrived:
            self._owner.give_back_flags(self._flags)

    def give_back(self, block: "Block") -> None:
        """Give back a block; one that the device may still write to is set aside until it has."""
        if self.has_arrived:
            self._owner.give_back(block)
        else:
            self._owner.unfinished.append((self, block))


class TransferredArray:
    """An array in host memory that a device copies to."""

    __slots__ = ("_array", "_block", "_transfer")

    def __init__(self, transfer: Transfer, block: "Block", array: Any) -> None:
        """Wrap an array in a block of a transfer."""
        self._transfer = transfer
        self._block = block
        self._array = array

    @property
    def has_arrived(self) -> bool:
        """Return whether it can be read."""
        return self._transfer.has_arrived

    @property
    def array(self) -> Any:
        """Return the NumPy array; valid until it or its transfer is released."""
        array = self._array
        return widened(array) if array.dtype == BFLOAT16 else array

    def release(self) -> None:
        """Give back the memory of separate rows; call it once."""
        self._transfer.give_back(self._block)


class DeviceCopies:
    """Host memory that devices copy to, reused by all calls of all sessions."""

    def __init__(self, copier: Copier) -> None:
        """Start without any memory."""
        self.copier = copier
        self._free: dict[int, deque[Block]] = {}
        self._flags: deque[Flag] = deque()
        self.size_bytes = 0
        """Bytes pinned so far."""
        self.unfinished: deque[tuple[Transfer, Block]] = deque()
        """Blocks given back before the device has written to them."""

    def begin(self) -> Transfer:
        """Return a transfer for the copies of one call; raises CapturingError."""
        if self.copier.is_capturing():
            raise CapturingError(
                "a CUDA graph was being captured, so there were no values yet; log what it computes"
                " after graph.replay()"
            )
        return Transfer(self)

    def block(self, size_bytes: int) -> "Block":
        """Return a block of at least this size; sizes are powers of two, so there are few of them."""
        size = 1 << (max(64, size_bytes) - 1).bit_length()
        with suppress(KeyError, IndexError):
            return self._free[size].popleft()
        self._recover()
        for larger in range(LARGER_SIZES):
            with suppress(KeyError, IndexError):
                return self._free[size << larger].popleft()
        if size > SMALL_BYTES:
            return Block(self._pinned(size), size)
        shared = self._pinned(SHARED_BYTES)
        first, *others = (
            Block(shared[start : start + size], size) for start in range(0, SHARED_BYTES, size)
        )
        self._free.setdefault(size, deque()).extend(others)
        return first

    def flag(self) -> "Flag":
        """Return an unset flag."""
        try:
            flag = self._flags.popleft()
        except IndexError:
            tensor = self._pinned(FLAGS * FLAG_SPACING)
            flag, *others = (
                Flag(tensor[start : start + 1])
                for start in range(0, FLAGS * FLAG_SPACING, FLAG_SPACING)
            )
            self._flags.extend(others)
        flag.array[0] = 0
        return flag

    def give_back(self, block: "Block") -> None:
        """Make a block available to the next calls; safe in any thread."""
        self._free.setdefault(block.size, deque()).append(block)

    def give_back_flags(self, flags: "list[Flag]") -> None:
        """Make flags available to the next calls; safe in any thread."""
        self._flags.extend(flags)

    def _recover(self) -> None:
        """Make unfinished blocks available that the device has written to since."""
        for _ in range(len(self.unfinished)):
            transfer, block = self.unfinished.popleft()
            transfer.give_back(block)

    def _pinned(self, size: int) -> Any:
        """Return new memory as a tensor that can be written to in any mode of PyTorch."""
        with torch_module().inference_mode(False):
            pinned = self.copier.pinned(size)
        if type(pinned) is not torch_module().Tensor:
            raise NoPinnedMemoryError(
                "a mode of PyTorch gives tensors without memory (FakeTensorMode)"
            )
        self.size_bytes += size
        return pinned


class Block:
    """Pinned bytes, and their last views, kept since a loop gives the same shapes each time."""

    __slots__ = ("_like", "_views", "bytes", "size")

    def __init__(self, bytes_: Any, size: int) -> None:
        """Wrap a tensor of bytes."""
        self.bytes = bytes_
        self.size = size
        self._like: Any = None
        self._views: tuple[Any, Any] = (None, None)

    def as_like(self, rows: Any) -> tuple[Any, Any]:
        """Return the block as a tensor with the type and layout of `rows`, and as an array of the same memory."""
        stride = rows.stride() if is_dense(rows) else None
        like = (rows.dtype, rows.shape, stride)
        if like != self._like:
            size = rows.numel() * rows.element_size()
            # A view made in inference mode could not be written to outside of it.
            with torch_module().inference_mode(False):
                flat = self.bytes[:size].view(rows.dtype)
                target = flat.view(rows.shape) if stride is None else flat.as_strided(*like[1:])
            self._views = (target, array_of(self.bytes, size, target))
            self._like = like
        return self._views


class Flag:
    """A byte that a device sets to 1."""

    __slots__ = ("array", "tensor")

    def __init__(self, tensor: Any) -> None:
        """Wrap a tensor of one byte."""
        self.tensor = tensor
        self.array = tensor.numpy()


class CudaCopier:
    """Copies with torch.cuda, which also drives AMD's GPUs."""

    def __init__(self) -> None:
        """Initialise nothing: CUDA is in use by the time that a tensor on it is given."""
        self._ones: dict[tuple[int, int], Any] = {}
        self._pinned_one: Any = None

    def holds(self, tensor: Any) -> bool:
        """Return whether a tensor is on a CUDA device."""
        return bool(tensor.is_cuda)

    def is_capturing(self) -> bool:
        """Return whether the current stream is being captured."""
        return bool(torch_module().cuda.is_current_stream_capturing())

    def pinned(self, size_bytes: int) -> Any:
        """Return page-locked memory; raises NoPinnedMemoryError."""
        torch = torch_module()
        try:
            pinned = torch.empty(size_bytes, dtype=torch.uint8, device="cpu", pin_memory=True)
        except RuntimeError as error:
            raise NoPinnedMemoryError(str(error)) from error
        keep_for_good(pinned)
        return pinned

    def copy(self, target: Any, source: Any) -> None:
        """Copy on the current stream of the source's device."""
        target.copy_(source, non_blocking=True)

    def one(self, source: Any) -> tuple[Any, Any]:
        """Return a 1 that was made on the stream it is used on, so that it is never read too early.

        Where `source` was made on another stream, its memory is not reused there before it is copied.
        """
        torch = torch_module()
        index = source.device.index
        stream = torch.cuda.current_stream(index)
        if CUDAGRAPH_TREES not in sys.modules:
            with suppress(RuntimeError):  # memory that PyTorch does not manage is not reused anyway
                source.record_stream(stream)
        key = (index, stream.cuda_stream)
        one = self._ones.get(key)
        if one is None:
            if len(self._ones) >= MAX_STREAMS:
                self._ones.clear()
            if self._pinned_one is None:
                self._pinned_one = self.pinned(1).fill_(1)
            one = torch.empty(1, dtype=torch.uint8, device=source.device)
            one.copy_(self._pinned_one, non_blocking=True)
            self._ones[key] = one
        return key, one


CUDA = DeviceCopies(CudaCopier())
"""Shared by all sessions of a process."""


def keep_for_good(tensor: Any) -> None:
    """Never free a tensor, not even when the interpreter exits.

    Freeing pinned memory calls CUDA in whatever thread and process it happens: while a graph is captured,
    in a forked child, or after a kernel has failed, that call fails, and PyTorch ends the process.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(tensor))
