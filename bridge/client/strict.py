"""Raises, within the call, what would be left out."""

import time
from collections.abc import Callable

from bridge.client.calls import BatchCall, Call, EpochCall, EventCall, ScalarsCall
from bridge.client.capture.collector import ARRIVAL_SECONDS
from bridge.client.delivery.transport import Transport
from bridge.client.encoding.encoder import Encoder
from bridge.client.encoding.isolation import let_through
from bridge.client.identity import RunConfig
from bridge.client.left_out import LeftOut, error_text

POLL_SECONDS = 0.001


class StrictCheck:
    """Encodes each call at once and raises what would be left out."""

    def __init__(
        self,
        config: RunConfig,
        transport: Callable[[], Transport],
    ) -> None:
        """Check for a run of this configuration, which this delivers."""
        self._encoder = Encoder(config, LeftOut(strict=True))
        self._transport = transport

    def check(self, call: Call) -> None:
        """Raise ValueError for a call of which something would be left out, or that no bridge lets in."""
        failure = self._transport().failure
        if failure is not None and failure.is_rejection:
            raise ValueError(f"token: {failure.reason}")
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while call.transfer is not None and not call.transfer.has_arrived:
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_SECONDS)
        try:
            self._encode(call)
        except ValueError:
            raise
        except BaseException as error:
            let_through(error)
            raise ValueError(error_text(error)) from error

    def _encode(self, call: Call) -> None:
        if type(call) is EpochCall:
            self._encoder.epoch(call, 0)
        elif type(call) is ScalarsCall or type(call) is EventCall:
            self._encoder.named(call, 0)
        elif type(call) is BatchCall:
            self._encoder.batch(
                call,
                self._encoder.index(call),
                samples=self._encoder.samples(call),
                clock_ms=0,
                duration=None,
                pictures=call.images.peek() if call.images is not None else None,
                server_config=self._transport().server_config,
            )
