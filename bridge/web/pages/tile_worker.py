"""Decode untrusted JPEGs into tiles: the program of a process of its own, which may be killed at any time.

It is run by its path and imports nothing of the bridge. For each JPEG on its input, after its length in four
bytes, it writes a result, the size of the tile and its pixels. A JPEG that takes too much processor time ends the process.
"""

import io
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO

TILE = 150
"""The longer side of a tile, in pixels."""

LENGTH = struct.Struct(">I")
HEAD = struct.Struct(">BHH")
"""The result, and width and height of the tile."""

DRAWN, DAMAGED, TOO_LARGE = range(3)
READY = b"r"

MAX_SCANS = 32
"""Each scan goes over the whole image; encoders write about ten into a progressive one."""

START_OF_SCAN = b"\xff\xda"

NICENESS = 10


def tile_of(jpeg: bytes, *, max_pixels: int = 4_096**2) -> tuple[int, Any]:
    """Return DRAWN and an image upright and scaled to fit a tile, with its proportions kept; or why there is none.

    While a progressive image is decoded, it is held in full, at six bytes a pixel.
    """
    from PIL import Image  # noqa: PLC0415 -- an extra that may be absent

    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            if image.width * image.height > max_pixels or jpeg.count(START_OF_SCAN) > MAX_SCANS:
                return TOO_LARGE, None
            longest = max(image.size)
            width, height = (max(1, round(side * TILE / longest)) for side in image.size)
            size = (width, height)
            image.draft("RGB", size)
            return DRAWN, _upright(image.convert("RGB").resize(size))
    except MemoryError:
        return TOO_LARGE, None
    except Exception:  # noqa: BLE001 -- decoders raise whatever a broken file leads them to
        return DAMAGED, None


def _upright(tile: Any) -> Any:
    """Return a tile turned by its EXIF orientation; a damaged one is ignored."""
    from PIL import ImageOps  # noqa: PLC0415 -- an extra that may be absent

    try:
        return ImageOps.exif_transpose(tile)
    except Exception:  # noqa: BLE001 -- as above
        return tile


def _limit(memory_bytes: int) -> None:
    """Give up what a decoder does not need, so that a malicious file finds little."""
    os.nice(NICENESS)
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with suppress(OSError, ValueError):  # not every system has each
            resource.setrlimit(limit, (most, most))


def _serve(source: BinaryIO, sink: BinaryIO, seconds: float, max_pixels: int) -> None:
    while head := source.read(LENGTH.size):
        jpeg = source.read(*LENGTH.unpack(head))
        # SIGPROF, by processor time, ends the process: a decoder written in C cannot be interrupted otherwise.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        result, tile = tile_of(jpeg, max_pixels=max_pixels)
        pixels = b"" if tile is None else tile.tobytes()
        signal.setitimer(signal.ITIMER_PROF, 0)
        sink.write(HEAD.pack(result, *((0, 0) if tile is None else tile.size)) + pixels)
        sink.flush()


def main() -> None:
    """Take processor seconds, memory in bytes and pixels as arguments; end with the input."""
    import PIL.Image  # noqa: PLC0415
    import PIL.JpegImagePlugin  # noqa: F401, PLC0415 -- before the memory is limited

    seconds, memory_bytes, max_pixels = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bridge, which closes the input
    _limit(int(memory_bytes))
    sink = sys.stdout.buffer
    sink.write(READY)
    sink.flush()
    _serve(sys.stdin.buffer, sink, float(seconds), int(max_pixels))


if __name__ == "__main__":
    main()
