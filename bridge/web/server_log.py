"""The log of aiohttp's server: what clients send wrongly is counted, and logged once for many."""

import logging

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

from bridge.telemetry import Telemetry


def server_log(telemetry: Telemetry) -> logging.Logger:
    """Return the logger for a server; every malformed request would otherwise leave a traceback."""
    logger = logging.Logger("bridge.web.server")  # noqa: LOG001 -- it belongs to one server, and ends with it
    logger.addHandler(_Counting(telemetry))
    return logger


class _Counting(logging.Handler):
    def __init__(self, telemetry: Telemetry) -> None:
        super().__init__()
        self._telemetry = telemetry

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ConnectionError):
            return  # the client has gone, and needs no answer any more
        if isinstance(error, HttpProcessingError | RequestPayloadError):
            self._telemetry.http_refused("malformed", error=type(error).__name__)
        elif error is not None:
            self._telemetry.unexpected_error("web server", error)
        else:
            logging.getLogger("aiohttp.server").handle(record)
