"""A small real JPEG, drawn from a number and a text without any library."""

COLUMNS = 8
ROWS = 4
"""Blocks of 8x8 pixels: the number's 32 bits, highest first, white for 1."""

WHITE = 112
BLACK = -112
"""What a uniform block's DC coefficient comes to with the quantization below: its grey less 128."""

ALWAYS_8 = bytes([8]) * 64
"""A uniform block of value v has the DC coefficient 8 v (ITU-T T.81, A.3.3), so 8 takes v as it is."""

CODE_OF_SIZE = {0: "00", 7: "01", 8: "10"}
"""The Huffman codes of all DC differences there can be: 0, the first one of 112, then 224."""

NO_MORE = "0"
"""The only AC code: the rest of the block is nothing (EOB)."""


def jpeg(number: int, text: str) -> bytes:
    """Return a JPEG file of 64x32 pixels that shows the number in black and white, with the text as its comment.

    The same arguments give the same bytes, on every machine and in every version.
    """
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xFE, text.encode()),
            _segment(0xDB, b"\x00" + ALWAYS_8),
            _segment(0xC0, b"\x08" + _two(8 * ROWS) + _two(8 * COLUMNS) + b"\x01\x01\x11\x00"),
            _segment(0xC4, b"\x00" + _lengths(0, len(CODE_OF_SIZE)) + bytes(CODE_OF_SIZE)),
            _segment(0xC4, b"\x10" + _lengths(1) + b"\x00"),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            _packed("".join(_blocks(number))),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + _two(len(content) + 2) + content


def _two(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _lengths(*counts: int) -> bytes:
    """Return how many codes there are of 1 bit, of 2 bits, and so on up to 16."""
    return bytes(counts).ljust(16, b"\x00")


def _blocks(number: int) -> list[str]:
    before = 0
    blocks = []
    for place in reversed(range(ROWS * COLUMNS)):
        grey = WHITE if number >> place & 1 else BLACK
        blocks.append(_difference(grey - before) + NO_MORE)
        before = grey
    return blocks


def _difference(value: int) -> str:
    """Return a DC difference in bits: the code of its size, then its value (ITU-T T.81, F.1.2.1)."""
    size = abs(value).bit_length()
    if not size:
        return CODE_OF_SIZE[0]
    return CODE_OF_SIZE[size] + format(value if value > 0 else value + (1 << size) - 1, f"0{size}b")


def _packed(bits: str) -> bytes:
    """Return bits as bytes, filled up with ones, and 0xFF marked as no marker."""
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
