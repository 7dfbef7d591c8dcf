"""Messages of a stream: one request, or a frame of several."""

from bridge.errors import BridgeError
from bridge.model import Update
from bridge.receiver.decode import decode_frame, decode_request
from bridge.receiver.message_limits import MessageLimits

LIMITS = MessageLimits()
SMALL = MessageLimits(images_per_batch=2, requests_per_frame=8, values=64, uncounted_bytes=256)
"""Limits that a short input reaches, too."""


def run(data: bytes) -> None:
    """Decode, with both limits; whatever a message is, there is an update or a refusal for it."""
    for limits in (LIMITS, SMALL):
        results = decode_request(data, limits)
        assert 1 <= len(results) <= 2
        for found in (*results, *decode_frame(data, limits)):
            assert isinstance(found, Update | BridgeError)
        assert len(decode_frame(data, SMALL)) <= 2 * SMALL.requests_per_frame + 2
