"""Read the parameters of a request, checked and bounded."""

from aiohttp import web

from bridge.errors import InvalidDataError, NotFoundError

MAX_UINT32 = 2**32 - 1
"""Epochs and batches are uint32 in the protocol."""


def batch_of(request: web.Request) -> tuple[int, int]:
    """Return epoch and batch of the path; raises NotFoundError."""
    pair = parse_batch(f"{request.match_info['epoch']}-{request.match_info['batch']}")
    if pair is None:
        raise NotFoundError("a batch is addressed as <epoch>-<batch>, two whole numbers")
    return pair


def parse_batch(text: str) -> tuple[int, int] | None:
    """Return epoch and batch of "12-340", or None for anything else."""
    epoch, _, batch = text.partition("-")
    pair = parse_whole(epoch), parse_whole(batch)
    return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])


def parse_whole(text: str, *, highest: int = MAX_UINT32) -> int | None:
    """Return a whole number from 0 to `highest`, or None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        return None
    value = int(text)
    return value if value <= highest else None


def whole_param(
    request: web.Request, name: str, default: int, *, highest: int, lowest: int = 0
) -> int:
    """Return a whole number of the query; raises InvalidDataError that names the bounds."""
    text = request.query.get(name, "")
    if not text:
        return default
    value = parse_whole(text, highest=highest)
    if value is None or value < lowest:
        raise InvalidDataError(f"{name} must be a whole number from {lowest} to {highest}")
    return value
