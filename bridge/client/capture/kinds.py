"""Which kind of value a training loop has given, by its type alone."""

import sys
from collections.abc import Sequence
from decimal import Decimal
from enum import Enum, auto
from fractions import Fraction
from typing import Any

from bridge.client.encoding.isolation import let_through

try:  # both are extras, and imported here so that nothing is imported while training runs
    import numpy as np
    import numpy.ma  # noqa: F401 -- numpy would import it at the first call
except ImportError:  # pragma: no cover
    np = None  # type: ignore[assignment]
try:
    from PIL import Image
except ImportError:  # pragma: no cover
    Image = None  # type: ignore[assignment]

__all__ = ["Image", "Kind", "kind_of", "np", "type_name"]

FROZEN_ARRAYS = {
    "jax": frozenset({"Array", "ArrayImpl"}),
    "jaxlib": frozenset({"Array", "ArrayImpl"}),
    "tensorflow": frozenset({"Tensor", "EagerTensor"}),
}
"""Types, by package, of arrays that never change; reading one may wait for its device.

Other types of these packages may change (Variable, Ref), so they are copied at the call.
"""

MAX_CACHED_TYPES = 512
"""How many types are cached; a program that keeps creating types must not fill the memory."""


class Kind(Enum):
    """Kinds of values, by what has to be done at the call to preserve a value."""

    CONSTANT = auto()
    """It never changes: Python's own numbers and strings, NumPy's scalars."""
    NUMPY = auto()
    TORCH = auto()
    FROZEN_ARRAY = auto()
    ARRAY = auto()
    """Anything else that NumPy can convert (`__array__`)."""
    PICTURE = auto()
    """Pillow's."""
    FILE = auto()
    """bytes"""
    BUFFER = auto()
    """bytearray or memoryview"""
    SEQUENCE = auto()
    OTHER = auto()


def kind_of(value: object) -> Kind:
    """Return the kind of a value by its type, without calling the value; never raises.

    A class that cannot be examined, since its metaclass raises, is of kind OTHER.
    """
    try:
        return _KNOWN.get(type(value)) or _learn(type(value))
    except BaseException as error:  # noqa: BLE001 -- see above
        let_through(error)
        return Kind.OTHER


_CONSTANTS = (int, float, complex, str, type(None), Decimal, Fraction)

_KNOWN: dict[type, Kind] = dict.fromkeys(_CONSTANTS, Kind.CONSTANT)


def _learn(type_: type) -> Kind:
    kind = _kind_of_type(type_)
    if len(_KNOWN) >= MAX_CACHED_TYPES:
        _KNOWN.clear()
    _KNOWN[type_] = kind
    return kind


def _kind_of_type(type_: type) -> Kind:
    torch = sys.modules.get("torch")
    tests: tuple[tuple[Kind, Any], ...] = (
        (Kind.ARRAY, np and np.ma.MaskedArray),  # whose mask a copy of its memory would lose
        (Kind.NUMPY, np and np.ndarray),
        (Kind.CONSTANT, np and np.generic),
        (Kind.TORCH, getattr(torch, "Tensor", None)),
        (Kind.PICTURE, Image and Image.Image),
        (Kind.FILE, bytes),
        (Kind.BUFFER, (bytearray, memoryview)),
        (Kind.CONSTANT, (bool, str)),
    )
    for kind, base in tests:
        if base is not None and issubclass(type_, base):
            return kind
    if type_.__name__ in FROZEN_ARRAYS.get(str(type_.__module__).partition(".")[0], ()):
        return Kind.FROZEN_ARRAY
    if hasattr(type_, "__array__"):
        return Kind.ARRAY
    if issubclass(type_, Sequence):
        return Kind.SEQUENCE
    return Kind.OTHER


def type_name(value: Any) -> str:
    """Return the name of the type of a value, for messages."""
    return type(value).__name__
