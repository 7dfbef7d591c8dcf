"""The classes of Lightning from which ours derive: it has two names, and classes of the one are none of the other's."""

import importlib
import sys

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def bases(module: str, name: str) -> tuple[type, ...]:
    """Return a class of Lightning under each name that is imported already, else under each that is installed.

    Raises ImportError where Lightning is not installed.
    """
    packages = [package for package in PACKAGES if package in sys.modules]
    packages = packages or [*filter(_is_installed, PACKAGES)] or [PACKAGES[0]]
    return tuple(
        getattr(importlib.import_module(f"{package}.{module}"), name) for package in packages
    )


def _is_installed(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True
