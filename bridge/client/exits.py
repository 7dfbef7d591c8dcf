"""Which SystemExit a program raises: Python keeps nothing of the one that ends it."""

import builtins
import sys
from collections.abc import Callable
from functools import wraps
from types import CodeType
from typing import Any

Remember = Callable[[SystemExit], None]

TOOLS = (3, 4)
"""Numbers of tools that sys.monitoring leaves to everybody; 0, 1, 2 and 5 belong to kinds of tools."""


def watch_exits(remember: Remember) -> None:
    """Call `remember` with each SystemExit that may end the process, in the thread that raises it."""
    if sys.version_info >= (3, 12):
        _watch_unwinding(remember)
    else:
        _watch_functions(remember)


def _watch_unwinding(remember: Remember) -> None:
    """Watch what leaves the outermost frame of a thread: costs nothing where nothing is raised."""
    monitoring: Any = vars(sys)["monitoring"]

    def on_unwind(_code: CodeType, _offset: int, error: BaseException) -> None:
        if isinstance(error, SystemExit) and sys._getframe(1).f_back is None:
            remember(error)

    tool = next((tool for tool in TOOLS if monitoring.get_tool(tool) is None), None)
    if tool is not None:
        monitoring.use_tool_id(tool, "trainbridge")
        monitoring.register_callback(tool, monitoring.events.PY_UNWIND, on_unwind)
        monitoring.set_events(tool, monitoring.events.PY_UNWIND)


def _watch_functions(remember: Remember) -> None:
    """Watch sys.exit, wherever it has been imported, and the exit and quit of interactive use."""
    original = sys.exit
    replacement = _remembering(original, remember)
    for module in tuple(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        if names.get("exit") is original:
            names["exit"] = replacement
    quitter: Any = type(getattr(builtins, "exit", None))
    if quitter.__module__ == "_sitebuiltins":
        quitter.__call__ = _remembering(quitter.__call__, remember)


def _remembering(function: Callable[..., Any], remember: Remember) -> Callable[..., Any]:
    @wraps(function)
    def remembering(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except SystemExit as error:
            remember(error)
            raise

    return remembering
