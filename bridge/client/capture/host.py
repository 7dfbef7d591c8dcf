"""Copies in host memory, in buffers that are reused."""

from collections import deque
from typing import Any

from bridge.client.capture.kinds import np

FREE_BUFFERS = 4
"""How many are kept for the next copies; touching fresh memory costs more than the copy itself."""

ROUNDING = 1 << 12


class HostBuffers:
    """Memory for copies; a buffer may be taken in one thread and given back in another."""

    def __init__(self) -> None:
        """Start without any memory."""
        self._free: deque[Any] = deque()

    def take(self, size_bytes: int) -> Any:
        """Return an array of bytes (uint8) of at least this size: a free buffer if one fits, else a new one."""
        for _ in range(len(self._free)):
            try:
                buffer = self._free.popleft()
            except IndexError:
                break
            if size_bytes <= buffer.nbytes <= 2 * size_bytes + ROUNDING:
                return buffer
            self._free.append(buffer)
        return np.empty(-(-size_bytes // ROUNDING) * ROUNDING, np.uint8)

    def give_back(self, buffer: Any) -> None:
        """Make a buffer available to the next copies."""
        self._free.append(buffer)
        while len(self._free) > FREE_BUFFERS:
            try:
                self._free.popleft()
            except IndexError:
                return

    def clear(self) -> None:
        """Release the free buffers."""
        self._free.clear()


def copied_array(array: Any) -> Any:
    """Return a NumPy copy of an array or a tensor in host memory."""
    return as_array(array).copy()


def copy_bytes(array: Any) -> int:
    """Return how many bytes a copy of an array or a tensor takes in host memory."""
    if not hasattr(array, "detach"):
        size = getattr(array, "nbytes", None)  # which those of TensorFlow, among others, lack
        return int(np.asarray(array).nbytes if size is None else size)
    is_widened = not array.is_cuda and str(array.dtype) in WIDENED
    return int(array.numel()) * (4 if is_widened else int(array.element_size()))


def as_array(rows: Any) -> Any:
    """Return an array or a tensor in host memory as an array, without a copy where possible."""
    return to_numpy(rows) if hasattr(rows, "detach") else rows


def own_array(value: Any) -> Any:
    """Return a NumPy copy of anything that NumPy can convert; a masked array stays masked."""
    return np.asanyarray(value).copy()  # since `__array__` may ignore copy=True


def copied_into(buffer: Any, rows: Any) -> Any:
    """Copy a NumPy array into a buffer; return the copy as an array."""
    target = buffer[: rows.nbytes].view(rows.dtype).reshape(rows.shape)
    np.copyto(target, rows)
    return target


def to_numpy(tensor: Any) -> Any:
    """Return a tensor in host memory as a NumPy array, without a copy where NumPy has its type."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if str(tensor.dtype) in WIDENED:
        tensor = tensor.float()
    return tensor.numpy()


WIDENED = frozenset(
    f"torch.{name}"
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
)
"""Types that NumPy lacks; float32 holds all their values."""
