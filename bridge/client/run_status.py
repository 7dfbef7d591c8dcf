"""What a session reports about its run: its statuses, and how it ended."""

import time
from typing import Any

from bridge.client.calls import StatusCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.encoding.encoder import TEXT_LIMIT, text
from bridge.client.encoding.isolation import let_through
from bridge.client.left_out import LeftOut, Reason, error_text
from bridge.protocol import Status, status_of


class RunStatus:
    """Puts statuses into the queue of a session; behind one that ends the run there is no other."""

    def __init__(self, queue: CallQueue, account: LeftOut) -> None:
        """Report nothing yet; what cannot be reported is counted in `account`."""
        self._queue = queue
        self._account = account
        self.is_over = False
        """Whether nothing more is reported."""

    def report(self, status: Status, message: str = "") -> None:
        """Report a status. Raises ValueError in strict mode for what is not one."""
        if self.is_over:
            return
        try:
            call = StatusCall(time.monotonic(), status_of(status), text(message))
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._account.add("statuses", Reason.UNREADABLE, error=error)
            return
        if self._queue.is_overfull and not call.status.is_end:
            self._account.add("statuses", Reason.MEMORY)
            return
        self.is_over = call.status.is_end
        self._queue.put(call)

    def report_end(self, error: BaseException | None, message: str = "") -> None:
        """Report COMPLETED with this message, or FAILED with the type and text of what was raised."""
        if error is None or _is_good_end(error):
            self.report(Status.COMPLETED, message)
        else:
            self.report(Status.FAILED, error_text(error, TEXT_LIMIT).removesuffix(": "))


def _is_good_end(error: BaseException) -> bool:
    """Return whether a generator is closed by this, or Python exits with status 0: any other object makes it 1."""
    if not isinstance(error, SystemExit):
        return isinstance(error, GeneratorExit)
    code: Any = error.code
    return code is None or (isinstance(code, int) and code == 0)
