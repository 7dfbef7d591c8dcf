"""Values by name, of whatever scripts configure themselves with."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def named_values(given: Any) -> dict[str, Any]:
    """Return the values of a dictionary, a Namespace, a dataclass, pairs, or flags of absl. Raises TypeError."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    if is_dataclass(given) and not isinstance(given, type):
        return {field.name: getattr(given, field.name) for field in fields(given)}
    flags = getattr(given, "flag_values_dict", None)
    if callable(flags):
        return dict(flags())
    if isinstance(given, list | tuple):
        return {str(name): value for name, value in given}
    if isinstance(given, str) or not hasattr(given, "__dict__"):
        raise TypeError(
            f"a {type(given).__name__} is not a configuration; give a dictionary or a Namespace"
        )
    return {name: value for name, value in vars(given).items() if not name.startswith("_")}
