"""Captures numbers and rows of numbers as they are at the call."""

import sys
from collections.abc import Sequence
from itertools import islice
from math import inf
from typing import Any, NamedTuple, Protocol

from bridge.client.capture.device import CUDA, DeviceCopies, Transfer
from bridge.client.capture.host import copied_array, to_numpy
from bridge.client.capture.kinds import Kind, kind_of, np, type_name
from bridge.client.capture.tensors import check_tensor
from bridge.client.encoding import output_layout
from bridge.client.encoding.isolation import let_through
from bridge.client.encoding.sample_rows import prediction_rows
from bridge.client.encoding.scalars import number_of

CONSTANT, NUMPY, TORCH, SEQUENCE = Kind.CONSTANT, Kind.NUMPY, Kind.TORCH, Kind.SEQUENCE
"""Named here since each lookup in an Enum costs a call a tenth of a microsecond."""

LARGE_ROWS_BYTES = 1 << 18
"""Scores larger than this are reduced to class and confidence on their device."""


class Unreadable(NamedTuple):
    """Takes the place of a value that could not be read."""

    error: BaseException


class Later(Protocol):
    """A value that was captured at the call and arrives later."""

    @property
    def has_arrived(self) -> bool:
        """Return whether it can be read without waiting."""

    @property
    def array(self) -> Any:
        """Return it as a NumPy array."""


class Snapshot:
    """A copy on a device whose copies to the host cannot be enqueued; the SDK's thread waits for it and reads it."""

    def __init__(self, tensor: Any) -> None:
        """Enqueue a copy on the device, after the loop's work so far."""
        self._tensor = tensor.detach().clone()
        self._array: Any = None

    @property
    def has_arrived(self) -> bool:
        """Return whether it has been read: only the SDK's thread may wait for it."""
        return self._array is not None

    @property
    def array(self) -> Any:
        """Wait for it; return it as a NumPy array."""
        if self._array is None:
            self._array = copied_array(self._tensor.cpu())
        return self._array


class Frozen:
    """An immutable array of JAX or TensorFlow, which may not be computed yet."""

    def __init__(self, array: Any) -> None:
        """Keep an array, which needs no copy."""
        self._array = array

    @property
    def has_arrived(self) -> bool:
        """Return whether it has been computed; True where that cannot be known."""
        is_ready = getattr(self._array, "is_ready", None)
        return is_ready is None or bool(is_ready())

    @property
    def array(self) -> Any:
        """Wait for it; return it as a NumPy array."""
        return np.asarray(self._array)


class BestRows(NamedTuple):
    """Rows of scores, reduced to an array (6, N): the best class and what its confidence is computed from."""

    parts: Later


class Values:
    """Captures the arguments of one call after the other; devices copy theirs later, without being waited for."""

    def __init__(self, devices: DeviceCopies | None = None) -> None:
        """Use these devices; CUDA's by default."""
        self.devices = devices or CUDA
        self._transfer: Transfer | None = None

    def number(self, value: Any) -> Any:
        """Return a number that no longer changes: itself, a Python number, `Later` or `Unreadable`."""
        try:
            kind = kind_of(value)
            return value if kind is CONSTANT else self._number(value, kind)
        except BaseException as error:  # noqa: BLE001 -- a Rust extension's panic is not an Exception
            let_through(error)
            return Unreadable(error)

    def rows(self, value: Any, limit: int, name: str) -> Any:
        """Return a copy of the first `limit` rows of predictions or classes: arrays, lists, `Later`, `Unreadable`."""
        try:
            return self._rows(value, kind_of(value), limit, name)
        except BaseException as error:  # noqa: BLE001 -- see above
            let_through(error)
            return Unreadable(error)

    def transfer(self) -> Transfer:
        """Return the transfer of the current call; raises CapturingError."""
        if self._transfer is None:
            self._transfer = self.devices.begin()
        return self._transfer

    def seal(self) -> Transfer | None:
        """End the call; return its copies from devices, if any."""
        transfer, self._transfer = self._transfer, None
        if transfer is None:
            return None
        try:
            transfer.seal()
        except BaseException as error:  # noqa: BLE001 -- the copies of a failed device never arrive, which is logged then
            let_through(error)
        return transfer

    def _number(self, value: Any, kind: Kind) -> Any:
        if kind is TORCH:
            return self._tensor_number(value)
        if kind is NUMPY and value.size == 1 and value.dtype.kind in "fiub":
            return value.item() if type(value) is np.ndarray else value.copy()
        if kind is Kind.FROZEN_ARRAY:
            return Frozen(value)
        if kind is Kind.ARRAY and not hasattr(value, "item"):  # TensorFlow's variables
            return number_of(np.asanyarray(value))
        return number_of(value)

    def _tensor_number(self, tensor: Any) -> Any:
        check_tensor(tensor)
        if tensor.numel() != 1:
            return number_of(tensor)  # raises before any value is read
        if self.devices.copier.holds(tensor):
            return self.transfer().add(tensor.detach())
        return tensor.item() if tensor.device.type == "cpu" else Snapshot(tensor)

    def _rows(self, value: Any, kind: Kind, limit: int, name: str) -> Any:
        if kind is NUMPY:
            prediction_rows(value.shape, value.dtype.kind, name=name)
            return value[:limit].copy() if value.ndim else value.copy()
        if kind is TORCH:
            return self._tensor_rows(value, limit, name)
        if kind is SEQUENCE:
            return self._listed_rows(value, limit, name)
        if kind not in (Kind.FROZEN_ARRAY, Kind.ARRAY):
            return Unreadable(
                TypeError(f"{name}: a {type_name(value)} is neither an array nor a list")
            )
        array = np.asanyarray(value) if kind is Kind.ARRAY else value
        dtype = getattr(array.dtype, "as_numpy_dtype", array.dtype)  # TensorFlow's types
        prediction_rows(tuple(array.shape), np.dtype(dtype).kind, name=name)
        if kind is Kind.FROZEN_ARRAY:
            return Frozen(array)
        return array[:limit].copy() if array.ndim else array.copy()

    def _tensor_rows(self, tensor: Any, limit: int, name: str) -> Any:
        check_tensor(tensor)
        is_float = tensor.is_floating_point()
        prediction_rows(tuple(tensor.shape), "f" if is_float else "i", name=name)
        rows = tensor.detach()[:limit] if tensor.dim() else tensor.detach()
        if not self.devices.copier.holds(tensor):
            return copied_array(rows) if tensor.device.type == "cpu" else Snapshot(rows)
        is_large = rows.numel() * rows.element_size() > LARGE_ROWS_BYTES
        if is_large and rows.dim() == 2 and rows.shape[1] > 1 and is_float:
            return BestRows(self.transfer().add(rows, reduce=best_rows))
        return self.transfer().add(rows)

    def _listed_rows(self, value: Sequence[Any], limit: int, name: str) -> Any:
        if name == "predictions" and is_pair(value):
            value = sorted_pair(value)
            limit = limit if may_be_cut(value, limit) else sys.maxsize
            parts = [self.rows(part, limit, name) for part in value]
            return next((part for part in parts if type(part) is Unreadable), tuple(parts))
        return [self._element(element) for element in islice(value, limit)]

    def _element(self, element: Any) -> Any:
        """Return one row of a list: a number, a pair, a list of scores, or an array of them."""
        kind = kind_of(element)
        if kind is CONSTANT:
            return element
        if kind is SEQUENCE:
            captured = [self.number(part) for part in element]
            return tuple(captured) if isinstance(element, tuple) else captured
        if is_row(element):
            sides = [side for side in element.shape if side != 1]
            prediction_rows((1, *sides))
            row = element.reshape(-1) if kind in (Kind.TORCH, Kind.NUMPY) else element
            return self._rows(row, kind, len(row), "predictions")
        return self.number(element)


def is_row(value: Any) -> bool:
    """Return whether a value is more than one number: it has a length, and dimensions if it has a shape."""
    if kind_of(value) in (Kind.CONSTANT, Kind.OTHER):
        return False
    shape = getattr(value, "shape", None)
    return len(shape) > 0 if shape is not None else hasattr(value, "__len__")


def is_pair(value: Any) -> bool:
    """Return whether predictions are a tuple of two columns, or of two rows."""
    return isinstance(value, tuple) and len(value) == 2 and is_row(value[0]) and is_row(value[1])


def sorted_pair(pair: Any) -> Any:
    """Return two columns or rows; those of `torch.max` and `topk` with types that show which are the indices."""
    values: Any = getattr(pair, "values", None)
    if kind_of(values) is not Kind.TORCH or values.is_floating_point():
        return pair
    return values.double(), pair.indices


def may_be_cut(pair: Any, limit: int) -> bool:
    """Return whether two parts are columns, of which the first `limit` samples suffice.

    Two of the same type and length may each be the scores of one sample: then all of them are needed, and
    the encoder decides (`output_layout.are_columns`).
    """
    if min(map(len, pair)) <= limit or hasattr(pair, "indices"):
        return True
    first, second = pair
    return len(first) != len(second) or holds_integers(first) != holds_integers(second)


def holds_integers(values: Any) -> bool:
    """Return whether an array, a tensor or a list of numbers holds integers; by its type if it has one."""
    if kind_of(values) is Kind.TORCH:
        return not values.is_floating_point()
    return bool(output_layout.holds_integers(values))


def length_of(value: Any, *, is_truth: bool = False) -> int:
    """Return the number of samples of predictions or classes; 0 where it is not known. Never raises.

    Two columns have one sample per row. Whether two parts on a device are columns is decided by their
    types alone.
    """
    try:
        if not is_truth and is_pair(value) and are_columns(value):
            value = value[0]
        return len(value)
    except BaseException as error:  # noqa: BLE001 -- reported when it is read
        let_through(error)
        return 0


def are_columns(pair: Any) -> bool:
    """Return whether two parts are (classes, confidences) or (values, indices), not two rows of scores."""
    if hasattr(pair, "indices") or holds_integers(pair[0]) != holds_integers(pair[1]):
        return True
    if any(kind_of(part) is Kind.FROZEN_ARRAY or not is_on_host(part) for part in pair):
        return False
    parts = [to_numpy(part) if kind_of(part) is Kind.TORCH else part for part in pair]
    return bool(output_layout.are_columns(*parts))


def is_on_host(value: Any) -> bool:
    """Return whether a value can be read without waiting for a device."""
    return kind_of(value) is not Kind.TORCH or value.device.type == "cpu"


def best_rows(scores: Any) -> Any:
    """Reduce scores (N, classes), on their device, to what their predictions are computed from.

    (6, N): best score, class, sum of exp(score - best), number of infinite scores, sum, lowest.
    """
    if scores.element_size() < 8:
        scores = scores.float()
    best, classes = scores.max(dim=1)
    weights = (scores - best[:, None]).exp().sum(dim=1)
    infinite = (scores == inf).sum(dim=1)
    lowest = scores.amin(dim=1)
    parts = (best, classes, weights, infinite, scores.sum(dim=1), lowest)
    return sys.modules["torch"].stack([part.to(scores.dtype) for part in parts])


def rows_bytes(value: Any, limit: int) -> int:
    """Return how many bytes a copy of the first `limit` rows takes, of an array, a pair or a list; 0: not known."""
    try:
        if is_pair(value):
            limit = limit if may_be_cut(value, limit) else sys.maxsize
            return sum(rows_bytes(part, limit) for part in value)
        length = len(value)
        if hasattr(value, "nbytes"):
            return int(value.nbytes if length <= limit else value.nbytes * limit // length)
        return sum(_row_bytes(row) for row in islice(value, limit))
    except BaseException as error:  # noqa: BLE001 -- reported when it is copied
        let_through(error)
        return 0


def _row_bytes(row: Any) -> int:
    kind = kind_of(row)
    if kind is CONSTANT:
        return 0
    return 32 * len(row) if kind is Kind.SEQUENCE else int(getattr(row, "nbytes", 0))
