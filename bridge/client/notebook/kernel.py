"""The display of the Jupyter kernel that this process is, if it is one."""

import os
import sys
from multiprocessing import parent_process
from typing import Any
from uuid import uuid4

SWITCH = "TRAINBRIDGE_PANEL"
OFF = frozenset({"0", "false", "no", "off"})


def kernel_display() -> "Display | None":
    """Return what shows a panel below the cell that runs; None outside of a kernel, and where it is switched off.

    IPython is looked at only where the program has loaded it, as a kernel has.
    """
    if os.environ.get(SWITCH, "").strip().lower() in OFF or parent_process() is not None:
        return None
    ipython = sys.modules.get("IPython")
    get_ipython = getattr(ipython, "get_ipython", None)
    shell = get_ipython() if callable(get_ipython) else None
    if getattr(shell, "kernel", None) is None:  # IPython in a terminal
        return None
    publisher = getattr(shell, "display_pub", None)
    return None if publisher is None else Display(publisher)


class Display:
    """One output of a cell, which can be drawn again."""

    def __init__(self, publisher: Any) -> None:
        """Draw nothing yet."""
        self._publisher = publisher
        self._id = f"trainbridge-{uuid4().hex}"
        self._is_there = False

    def show(self, html: str, text: str) -> None:
        """Show this, in place of what was shown before."""
        self._publisher.publish(
            data={"text/html": html, "text/plain": text},
            metadata={},
            transient={"display_id": self._id},
            update=self._is_there,
        )
        self._is_there = True
