"""The configuration and the summary of a run: dictionaries that are read and written as attributes too."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from bridge.client.capture.kinds import Kind, kind_of
from bridge.client.compat.named_values import named_values

OnChange = Callable[[dict[str, Any]], None]


class Values(MutableMapping[str, Any]):
    """Values by name; each change is passed on."""

    _values: dict[str, Any]
    _on_change: OnChange

    def __init__(self, on_change: OnChange) -> None:
        """Start empty; `on_change` takes what was set."""
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_on_change", on_change)

    def update(self, given: Any = None, allow_val_change: bool | None = None, **more: Any) -> None:  # type: ignore[override]
        """Set the values of a dictionary, a Namespace or another object; values may always change."""
        values = {**named_values(given), **more}
        self._values.update(values)
        self._on_change(values)

    def setdefaults(self, given: Any) -> None:
        """Set those that are not set yet."""
        self.update({k: v for k, v in named_values(given).items() if k not in self._values})

    def remember(self, numbers: Mapping[str, Any]) -> None:
        """Keep what was logged last, without passing it on; a tensor is not kept alive."""
        plain = {k: v for k, v in numbers.items() if kind_of(v) is Kind.CONSTANT}
        self._values.update(plain)

    def as_dict(self) -> dict[str, Any]:
        """Return all values."""
        return dict(self._values)

    def __getitem__(self, name: str) -> Any:
        """Return a value."""
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a value."""
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        """Forget a value; what was reported of it stays."""
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        """Return a value."""
        if name.startswith("__") or name not in self._values:
            raise AttributeError(
                f"no value {name!r}; there are {', '.join(self._values) or 'none'}"
            )
        return self._values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a value."""
        self.update({name: value})

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: its changes are its own."""
        return {"_values": self._values, "_on_change": _keep_to_itself}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become a copy."""
        vars(self).update(state)

    def __repr__(self) -> str:
        """Return the values."""
        return repr(self._values)


def _keep_to_itself(_values: dict[str, Any]) -> None:
    """Report nothing: the values are those of a copy."""


def picked(values: Mapping[str, Any], include: Any, exclude: Any) -> dict[str, Any]:
    """Return the values of these names, or without those."""
    return {
        name: value
        for name, value in values.items()
        if (not include or name in include) and name not in (exclude or ())
    }
