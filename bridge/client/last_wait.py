"""The wait for a bridge at the end of a session, which says that it waits."""

import logging
import time

from bridge.client.delivery.outbox import Outbox
from bridge.client.delivery.transport import Transport

log = logging.getLogger("trainbridge")

SILENT_SECONDS = 1.5
"""How long it waits without a word."""

LEAST_SECONDS = 1.0
"""A wait that is over sooner than this is not worth one."""


def wait_until_drained(outbox: Outbox, deadline: float, transport: Transport) -> None:
    """Wait until all is delivered, or the monotonic deadline; log it where that takes long."""
    speak_at = time.monotonic() + SILENT_SECONDS
    if speak_at + LEAST_SECONDS < deadline:
        left = outbox.wait_until_drained(speak_at)
        if left and time.monotonic() >= speak_at:  # else nobody waits for what is left
            log.warning(
                "session %s: waiting up to %.0f s more (close_seconds) until the bridge has the last %d messages%s",
                transport.session_id,
                deadline - speak_at,
                left,
                f": {transport.failure.reason}" if transport.failure is not None else "",
            )
    outbox.wait_until_drained(deadline)
