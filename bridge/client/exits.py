"""Which exceptions end a program and leave no trace: SystemExit, and any in a process of multiprocessing."""

import builtins
import sys
from collections.abc import Callable
from functools import wraps
from multiprocessing.process import BaseProcess
from types import CodeType
from typing import Any

Remember = Callable[[BaseException, bool], None]
"""Takes an exception, and whether it has ended the target of a process of multiprocessing."""

TOOLS = (3, 4)
"""Numbers of tools that sys.monitoring leaves to everybody; 0, 1, 2 and 5 belong to kinds of tools."""


_BOOTSTRAP: CodeType = vars(BaseProcess)["_bootstrap"].__code__
"""What runs the target of a process; from Python 3.13 on, it has cleaned up before the process ends."""


def watch_exits(remember: Remember) -> None:
    """Call `remember` with each such exception that may end the process, in the thread that raises it."""
    if sys.version_info >= (3, 12):
        _watch_unwinding(remember)
    else:
        _watch_functions(remember)


def _watch_unwinding(remember: Remember) -> None:
    """Watch what leaves the outermost frame of a thread: costs nothing where nothing is raised."""
    monitoring: Any = vars(sys)["monitoring"]

    def on_unwind(_code: CodeType, _offset: int, error: BaseException) -> None:
        caller = sys._getframe(1).f_back
        is_target = caller is not None and caller.f_code is _BOOTSTRAP
        if is_target or (caller is None and isinstance(error, SystemExit)):
            remember(error, is_target)

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
            remember(error, False)
            raise

    return remembering
