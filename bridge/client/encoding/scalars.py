"""What a loss, a metric or an accuracy may be: one number of whichever library."""

import math
from typing import Any

HALF_ROUNDING = 1e-3
"""How far above 1 or below 0 rounding may bring a ratio of half-precision numbers."""


def number_of(value: Any) -> float:
    """Return a number as a float.

    Takes Python's numbers, Decimal and Fraction, and scalars, tensors or arrays of exactly one
    element, of any shape; NaN and infinities are numbers. Raises ValueError for all else, with
    what to give instead.
    """
    if type(value) is float or type(value) is int:  # nearly always, and in the training loop
        return _float_of(value)
    if value is None:
        raise ValueError("None is not a number; leave the argument out")
    if isinstance(value, (str, bytes, bytearray)):
        raise ValueError(f"the text {value[:32]!r} is not a number; give float(...)")
    if isinstance(value, complex):
        raise ValueError("a complex number; give its absolute value or its real part")
    if hasattr(value, "shape"):
        return _only_element(value)
    if hasattr(value, "__len__"):
        raise ValueError(f"a {type(value).__name__} is not a number; give one")
    return _float_of(value)


def ratio_of(value: Any, name: str = "accuracy") -> float:
    """Return a number from 0 to 1, or NaN; what rounding brings beyond is cut off.

    Raises ValueError, which calls it by `name`, for a percentage and for what is not a number.
    """
    ratio = number_of(value)
    if math.isnan(ratio) or 0 <= ratio <= 1:
        return ratio
    if -HALF_ROUNDING <= ratio <= 1 + HALF_ROUNDING:
        return min(max(ratio, 0.0), 1.0)
    hint = f"; give {ratio / 100:.6g}" if 1 < ratio <= 100 else ""
    raise ValueError(f"{name}: {ratio:.6g} is not between 0 and 1{hint}")


def _only_element(array: Any) -> float:
    shape = tuple(array.shape)
    if math.prod(shape) != 1:
        raise ValueError(f"an array of shape {shape}; give one number, e.g. loss.mean()")
    if getattr(array, "mask", False):
        raise ValueError("a masked element has no value")
    kind = getattr(getattr(array, "dtype", None), "kind", "f")
    if kind in "mM":
        raise ValueError(f"{array.dtype} is not a number")
    element = array.item()
    if hasattr(element, "shape"):  # longdouble, which has no Python type of its own
        return _float_of(element)
    return number_of(element)


def _float_of(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number too large for a float") from None
    except TypeError:
        raise ValueError(f"{type(value).__name__} is not a number") from None
