"""The memory layout of tensors, read without waiting for their device."""

import sys
from functools import cache
from typing import Any

from bridge.client.capture.kinds import np

DTYPES = {
    f"torch.{name}": name
    for name in (
        *("float16", "float32", "float64", "bool"),
        *("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    )
}
"""NumPy's names of types; bfloat16, which it lacks, is copied as it is and widened later."""


def check_tensor(tensor: Any) -> None:
    """Raise TypeError for a tensor without values of its own in a single piece of memory.

    It does not wait for the device, and runs none of the tensor's own operations.
    """
    if hasattr(tensor, "full_tensor"):  # reading it would need all processes
        raise TypeError("a DTensor is spread over processes; give its full_tensor(), or to_local()")
    if hasattr(tensor, "fake_mode") or tensor.is_meta:
        raise TypeError("a tensor without values; log what a real step has computed")
    if tensor.is_nested:
        raise TypeError("a nested tensor; give a list, e.g. of its unbind()")
    layout = _name(tensor.layout)
    if layout != "torch.strided":
        raise TypeError(f"a tensor of layout {layout}; give its to_dense()")


def plain(rows: Any) -> Any:
    """Return a tensor of a type that can be copied byte by byte; raises TypeError for complex ones."""
    if rows.is_quantized:
        rows = rows.dequantize()
    name = _name(rows.dtype)
    if name in DTYPES or name == "torch.bfloat16":
        return rows.resolve_neg()  # PyTorch would negate the copy before it has arrived
    if rows.is_complex():
        raise TypeError("a complex number; give its absolute value or its real part")
    return rows.float()


_name = cache(str)
"""The name of a type or a layout, of which there are few."""

BFLOAT16 = None if np is None else np.dtype([("bfloat16", "u2")])


def widened(array: Any) -> Any:
    """Return bfloat16 as float32: the same number with 16 more bits at the end."""
    return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def array_of(bytes_: Any, size: int, target: Any) -> Any:
    """Return an array of the memory of `target`, which is a view of `bytes_`."""
    name = _name(target.dtype)
    dtype = BFLOAT16 if name == "torch.bfloat16" else np.dtype(DTYPES[name])
    strides = [stride * target.element_size() for stride in target.stride()]
    flat = bytes_.numpy()[:size].view(dtype)
    return np.lib.stride_tricks.as_strided(flat, tuple(target.shape), strides)


def is_dense(rows: Any) -> bool:
    """Return whether the memory of rows has no gaps, so that one plain copy suffices, in whatever order of dimensions."""
    if rows.is_contiguous():
        return True
    expected = 1
    for stride, length in sorted(zip(rows.stride(), rows.shape, strict=True)):
        if length > 1 and stride != expected:
            return False
        expected *= length
    return True


def torch_module() -> Any:
    """Return PyTorch, which the creator of a tensor has imported."""
    return sys.modules["torch"]
