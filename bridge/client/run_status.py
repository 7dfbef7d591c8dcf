"""What a session reports about its run: its statuses, and how it ended."""

import time

from bridge.client.calls import StatusCall
from bridge.client.capture.call_queue import CallQueue
from bridge.client.encoding.encoder import TEXT_LIMIT, text
from bridge.client.encoding.isolation import let_through
from bridge.client.endings import Ending, end_of
from bridge.client.left_out import LeftOut, Reason, error_text
from bridge.protocol import Status, status_of

STOPPED = "stopped by command"

REPLACED = "replaced by a new session of the same name in the same process"

LET_GO = "the program has let go of the session without closing it"


class RunStatus:
    """Puts statuses into the queue of a session; behind one that ends the run there is no other."""

    def __init__(self, queue: CallQueue, account: LeftOut) -> None:
        """Report nothing yet; what cannot be reported is counted in `account`."""
        self._queue = queue
        self._account = account
        self.is_over = False
        """Whether nothing more is reported."""
        self.end: Status | None = None
        """The status that was reported last, where it ends the run."""

    def report(
        self, status: Status, message: str = "", ending: Ending = Ending.AS_REPORTED
    ) -> None:
        """Report a status. Raises ValueError in strict mode for what is not one."""
        if self.is_over:
            return
        try:
            call = StatusCall(time.monotonic(), status_of(status), text(message), ending)
        except BaseException as error:  # noqa: BLE001 -- anything may be given
            let_through(error)
            self._account.add("statuses", Reason.UNREADABLE, error=error)
            return
        if self._queue.is_overfull and not call.status.is_end:
            self._account.add("statuses", Reason.MEMORY)
            return
        self.is_over = call.status.is_end
        self.end = call.status if self.is_over else None
        self._queue.put(call)

    def report_end(
        self, error: BaseException | None, message: str = "", *, is_stopped: bool = False
    ) -> None:
        """Report the end of the run: COMPLETED with this message, or FAILED with what was raised.

        `is_stopped`: the loop has obeyed a command to stop.
        """
        status, ending = end_of(error, is_stopped=is_stopped)
        if status is Status.COMPLETED:
            self.report(status, STOPPED if is_stopped else message, ending)
        else:
            self.report(status, _text_of(error), ending)


def _text_of(error: BaseException | None) -> str:
    """Return type and text of what was raised; of a signal only its name."""
    said = error_text(error, TEXT_LIMIT).removesuffix(": ")
    return said.removeprefix("TerminatedError: ")
