"""Copies in host memory, in buffers that are used again."""

from collections import deque
from typing import Any

from bridge.client.capture.kinds import np

FREE_BUFFERS = 4
"""So many are kept for the next copies; touching fresh memory costs more than the copy itself."""

ROUNDING = 1 << 12


class HostBuffers:
    """Memory for copies; taking and giving back may happen in different threads."""

    def __init__(self) -> None:
        """Own nothing yet."""
        self._free: deque[Any] = deque()

    def take(self, size_bytes: int) -> Any:
        """Return an array of bytes (uint8) of at least this size, used before where there is one."""
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
        """Let the next copy have this buffer."""
        self._free.append(buffer)
        while len(self._free) > FREE_BUFFERS:
            try:
                self._free.popleft()
            except IndexError:
                return

    def clear(self) -> None:
        """Let go of what is free."""
        self._free.clear()


def copied_array(array: Any) -> Any:
    """Return an array of its own with the content of a NumPy array or a tensor in host memory."""
    return as_array(array).copy()


def copy_bytes(array: Any) -> int:
    """Return how many bytes a copy in host memory takes of a NumPy array or a tensor."""
    if not hasattr(array, "detach"):
        size = getattr(
            array, "nbytes", None
        )  # those of TensorFlow, and others, do not say so themselves
        return int(np.asarray(array).nbytes if size is None else size)
    is_widened = not array.is_cuda and str(array.dtype) in WIDENED
    return int(array.numel()) * (4 if is_widened else int(array.element_size()))


def as_array(rows: Any) -> Any:
    """Return a NumPy array, or a tensor in host memory, as an array; of the same memory where it can be."""
    return to_numpy(rows) if hasattr(rows, "detach") else rows


def own_array(value: Any) -> Any:
    """Return an array of its own with the content of anything that gives NumPy one; a masked one stays so."""
    return np.asanyarray(value).copy()  # whatever it makes of a request for a copy


def copied_into(buffer: Any, rows: Any) -> Any:
    """Copy a NumPy array into a buffer; return it as an array there."""
    target = buffer[: rows.nbytes].view(rows.dtype).reshape(rows.shape)
    np.copyto(target, rows)
    return target


def to_numpy(tensor: Any) -> Any:
    """Return a tensor in host memory as a NumPy array, of the same memory where NumPy has its type."""
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
"""Types that NumPy does not have; each fits into float32."""
