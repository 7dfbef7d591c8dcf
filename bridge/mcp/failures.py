"""What an assistant reads when a question cannot be answered: the cause and what to do, never a traceback."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mcp.server.mcpserver.exceptions import ToolError

from bridge.client.query import ProblemError, QueryError

log = logging.getLogger("trainbridge")

P = ParamSpec("P")
R = TypeVar("R")

UNEXPECTED = (
    "this question failed inside of `trainbridge mcp`, whose log (stderr) has the reason; other"
    " questions still work"
)
NO_SESSION = "list_sessions returns the sessions there are"
BUSY = "the bridge is starting, stopping or busy: ask again in some seconds"


def explained(tool: Callable[P, R]) -> Callable[P, R]:
    """Return the tool with its failures as sentences for whoever asked."""

    @functools.wraps(tool)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return tool(*args, **kwargs)
        except ToolError:
            raise
        except QueryError as error:
            raise ToolError(_sentence(error)) from error
        except Exception as error:
            log.exception("%s failed", tool.__name__)
            raise ToolError(UNEXPECTED) from error

    return call


def _sentence(error: QueryError) -> str:
    if isinstance(error, ProblemError):
        if error.status == 404 and "session" in error.detail:
            return f"{error}; {NO_SESSION}"
        if error.status >= 500:
            return f"{error}; {BUSY}"
    return str(error)
