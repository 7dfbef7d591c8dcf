"""Images, losses and predictions become what docs/sdk.md says."""

import re
import struct
import zlib
from decimal import Decimal
from fractions import Fraction
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from support.markdown import tables_under
from support.tools import ROOT

from bridge.client.encoding.images import batch_layout, encode_images
from bridge.client.encoding.predictions import NOT_REPORTED, classes_of, predictions_of
from bridge.client.encoding.scalars import number_of, ratio_of

DIMENSION = 1_000
"""What the bridge of this test takes."""

PAGE = (ROOT / "docs" / "sdk.md").read_text()
PAGE = PAGE[PAGE.index("## What becomes of images") : PAGE.index("## A spool")]


def rows(heading, columns=3):
    """Return the rows under a heading, without the heads of further tables."""
    found = [row for row in tables_under(PAGE)[heading] if "for example" not in row]
    found = [row for row in found if row != ["shape", "beside", "is"]]
    assert all(len(row) == columns for row in found)
    return found


def after(heads, heading):
    """Return the rows of the table under a heading whose head begins with this cell."""
    text = PAGE[PAGE.index(f"### {heading}") :]
    text = text[text.index(f"\n| {heads} |") :].split("\n\n")[0]
    return tables_under(f"# x\n{text}")["x"]


class Tensor:
    """An array of a library with its channels first."""

    def __init__(self, array):
        """Hold it."""
        self.array = array


def ramp(low, high, side=16):
    """Return a picture from one value to another, evenly."""
    return np.linspace(low, high, side * side).reshape(side, side)


def one_pixel(picture, value):
    """Return it with one pixel changed, near its middle value."""
    changed = np.array(picture)
    changed[changed.shape[0] // 2, 0] = value
    return changed


def noisy(deviation):
    """Return a white bar on black, with normal noise."""
    picture = np.zeros((32, 32))
    picture[:, 14:18] = 1
    return picture + np.random.default_rng(1).normal(0, deviation, picture.shape)


def filled(shape, *channels):
    """Return a picture of one colour."""
    kind = np.uint8 if isinstance(channels[0], int) else np.float32
    return np.broadcast_to(np.array(channels, kind), shape)


def file(kind, colour=128, mode=None, size=(8, 6), **options):
    """Return a picture file."""
    mode = mode or ("L" if isinstance(colour, int) else "RGB")
    buffer = BytesIO()
    if mode == "I;16":
        Image.fromarray(np.full(size[::-1], colour, np.uint16)).save(buffer, kind)
    else:
        Image.new(mode, size, colour).save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation):
    """Return the EXIF data of a camera held so."""
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def turned(picture):
    """Return a picture whose EXIF says that it lies on its side."""
    picture.getexif()[0x0112] = 6
    return picture


def with_thumbnail():
    """Return a JPEG with a whole JPEG in its EXIF segment."""
    inside = b"Exif\0\0" + file("JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(inside) + 2) + inside
    return b"\xff\xd8" + segment + file("JPEG")[2:]


def animation():
    """Return a GIF of a black and a white frame."""
    buffer = BytesIO()
    frames = [Image.new("RGB", (8, 6), shade) for shade in ("black", "white")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def transparent_palette():
    """Return a picture whose only colour is transparent."""
    picture = Image.new("P", (8, 6), 0)
    picture.info["transparency"] = 0
    return picture


def palette_with_alpha():
    """Return a picture whose only colour is transparent by the palette's own alpha."""
    picture = Image.new("P", (8, 6))
    picture.putpalette([200, 0, 0, 0], "RGBA")
    return picture


def bomb():
    """Return a small PNG file that says it has 10^10 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


MAKERS = {
    "with_thumbnail": with_thumbnail,
    "turned_jpeg": lambda: file("JPEG", exif=exif(6)),
    "turned_png": lambda: file("PNG", 0, exif=exif(6)),
    "turned_tiff": lambda: file("TIFF", 0, exif=exif(6)),
    "animation": animation,
    "transparent_palette": transparent_palette,
    "palette_with_alpha": palette_with_alpha,
    "bomb": bomb,
}
"""What would be too long for a table."""

FUNCTIONS = {
    "np": np,
    "Image": Image,
    "Decimal": Decimal,
    "Fraction": Fraction,
    "tensor": Tensor,
    "ramp": ramp,
    "one_pixel": one_pixel,
    "filled": filled,
    "noisy": noisy,
    "file": file,
    "turned": turned,
}


class Names(dict):
    """Makes what an example names."""

    def __missing__(self, name):
        return MAKERS[name]()


def made(cell):
    """Return what an example in a table is."""
    return eval(cell.strip("`"), {}, Names(FUNCTIONS))  # noqa: S307 -- our own page


def refusal(cell):
    """Return the words of a refusal, or None for a cell that says what arrives."""
    return cell.removeprefix("refused: ") if cell.startswith("refused: ") else None


PICTURES = [
    *rows("Which values are black and white"),
    *after("one picture", "Where the channels are"),
    *rows("Pillow images and files"),
]


@pytest.mark.parametrize(("kind", "example", "shown"), PICTURES)
def test_pictures(kind, example, shown):
    """A picture arrives with the size and the colours that the page says, or is refused so."""
    picture = made(example)
    is_tensor = isinstance(picture, Tensor)

    jpegs, faults = encode_images(
        [picture.array if is_tensor else picture], dimension=DIMENSION, channels_first=is_tensor
    )

    if refusal(shown):
        assert not jpegs
        assert refusal(shown) in str(faults[0][1])
        return
    assert faults == []
    ((place, jpeg),) = jpegs
    assert place == 0
    if shown == "as it is":
        assert jpeg == bytes(picture)
        return
    if shown == "without what is behind":
        assert len(jpeg) < len(picture)
        assert picture.startswith(jpeg)
        assert Image.open(BytesIO(jpeg)).size == (8, 6)
        return
    size, mode, levels = re.fullmatch(r"(?:(\d+x\d+) )?(grey|colours) ([\d ]+)", shown).groups()
    found = Image.open(BytesIO(jpeg))
    assert size in (None, f"{found.width}x{found.height}")
    assert found.mode == {"grey": "L", "colours": "RGB"}[mode]
    pixels = np.asarray(found).reshape(found.width * found.height, -1)
    assert pixels.mean(axis=0) == pytest.approx([int(level) for level in levels.split()], abs=1.6)


@pytest.mark.parametrize(("shape", "beside", "expected"), after("shape", "Where the channels are"))
def test_batches(shape, beside, expected):
    """An array is as many pictures as the page says, by its shape alone."""
    shape, samples = made(shape), made(beside) if beside else None
    if refusal(expected):
        with pytest.raises(ValueError, match=re.escape(refusal(expected))):
            batch_layout(shape, samples)
        return
    count, is_single = batch_layout(shape, samples)

    assert expected == ("one picture" if is_single else f"{count} pictures")
    assert count == 1 or not is_single


@pytest.mark.parametrize(
    ("read", "kind", "example", "expected"),
    [
        *((number_of, *row) for row in after("number", "Losses and metrics")),
        *((ratio_of, *row) for row in after("accuracy", "Losses and metrics")),
    ],
)
def test_numbers(read, kind, example, expected):
    """A loss, a metric or an accuracy arrives as the page says, or is refused with a reason."""
    if refusal(expected):
        with pytest.raises(ValueError, match=re.escape(refusal(expected))):
            read(made(example))
        return

    assert read(made(example)) == pytest.approx(float(expected), nan_ok=True)


@pytest.mark.parametrize(
    ("kind", "example", "expected"), after("predictions", "Predictions and labels")
)
def test_predictions(kind, example, expected):
    """Predictions arrive as the classes and confidences that the page says."""
    if refusal(expected):
        with pytest.raises(ValueError, match=re.escape(refusal(expected))):
            predictions_of(made(example), 16)
        return
    found = predictions_of(made(example), 16)

    wanted = re.findall(r"class (-?\d+)(?: at ([\d.]+|nan))?", expected)
    assert [number for number, _ in found] == [int(number) for number, _ in wanted]
    assert all(type(number) is int for number, _ in found)
    for (_, confidence), (_, text) in zip(found, wanted, strict=True):
        assert type(confidence) is float
        assert confidence == pytest.approx(float(text or NOT_REPORTED), nan_ok=True)


@pytest.mark.parametrize(
    ("kind", "example", "expected"), after("`ground_truth`", "Predictions and labels")
)
def test_labels(kind, example, expected):
    """Labels arrive as the classes that the page says."""
    if refusal(expected):
        with pytest.raises(ValueError, match=re.escape(refusal(expected))):
            classes_of(made(example), 16)
        return

    assert classes_of(made(example), 16) == [int(n) for n in re.findall(r"-?\d+", expected)]


def test_no_maker_without_a_row():
    """Everything that this module can make is on the page, so no input is tested but undocumented."""
    examples = " ".join(cell for row in PICTURES for cell in row[1:2])

    assert [name for name in MAKERS if name not in examples] == []


def test_every_mode_of_pillow_has_a_row():
    """A mode that a new version of Pillow adds needs a decision."""
    named = {row[0].split()[1].rstrip(":,") for row in PICTURES if row[0].startswith("mode ")}

    assert set(Image.MODES) <= named
