"""A contact sheet shows images as browsers do, and one that cannot be decoded costs only its own tile."""

import io
import random
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from support.jpegs import jpeg
from support.pages import pictures, running

from bridge.errors import StorageError
from bridge.storage.index import ImageBatch, ImageLocation, IndexedImage
from bridge.web.pages import contact_sheet, tile_worker
from bridge.web.pages.contact_sheet import (
    BACKDROP,
    GAP,
    HEADER_HEIGHT,
    LABEL_HEIGHT,
    MISSING,
    header_of,
    label_of,
)
from bridge.web.pages.tile_worker import TILE
from bridge.web.pages.tiles import TileDecoder, TileLimits


def tile_of(content):
    """Return a tile as the process that decodes would draw it, or None."""
    return tile_worker.tile_of(content)[1]


RED, BLUE = (200, 30, 30), (30, 30, 200)


def halves(width, height, *, mode="RGB", orientation=None, **options):
    """Return a JPEG whose left half is red and whose right half is blue, as stored."""
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, (width + 1) // 2, height))
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, "JPEG", quality=95, exif=exif, **options)
    return buffer.getvalue()


def is_near(pixel, colour):
    """Return whether a pixel has a colour, within the loss of JPEG."""
    wanted = (
        tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) if isinstance(colour, str) else colour
    )
    return all(abs(a - b) < 60 for a, b in zip(pixel, wanted, strict=True))


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((300, 100), (150, 50)),
        ((100, 300), (50, 150)),
        ((64, 64), (150, 150)),
        ((8, 16), (75, 150)),
        ((4096, 1), (150, 1)),
        ((1, 4096), (1, 150)),
        ((1, 1), (150, 150)),
        ((4096, 4096), (150, 150)),
        ((3, 2000), (1, 150)),
    ],
    ids=str,
)
def test_proportions_are_kept(size, shown):
    """As large as fits into a tile, and neither side shrinks to nothing."""
    assert tile_of(jpeg(*size)).size == shown


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_colours_are_those_of_the_picture(mode):
    """In RGB, greyscale and CMYK files alike."""
    tile = tile_of(halves(300, 100, mode=mode))

    left, right = tile.getpixel((20, 25)), tile.getpixel((130, 25))
    assert tile.mode == "RGB"
    if mode == "L":
        assert left[0] == left[1] == left[2] > right[0]
    else:
        assert left[0] > left[2] + 60
        assert right[2] > right[0] + 60


RED_SIDE = {
    None: "left",
    0: "left",
    1: "left",
    2: "right",
    3: "right",
    4: "left",
    5: "top",
    6: "top",
    7: "bottom",
    8: "bottom",
    9: "left",
    700: "left",
}
"""Where the stored left edge is seen, by EXIF 2.32, table 4, Orientation."""


@pytest.mark.parametrize("orientation", RED_SIDE, ids=str)
def test_pictures_stand_upright(orientation):
    """A camera's orientation is applied as browsers do; an invalid one is not."""
    tile = tile_of(halves(300, 100, orientation=orientation))

    width, height = tile.size
    places = {
        "left": (5, height // 2),
        "right": (width - 6, height // 2),
        "top": (width // 2, 5),
        "bottom": (width // 2, height - 6),
    }
    assert (width, height) == ((50, 150) if orientation in (5, 6, 7, 8) else (150, 50))
    assert is_near(tile.getpixel(places[RED_SIDE[orientation]]), RED)


def test_damaged_exif_costs_the_turn_only():
    """The image is shown as it is stored."""
    content = halves(300, 100, orientation=6)
    place = content.index(b"Exif\0\0") + 6

    tile = tile_of(content[:place] + b"\xff" * 12 + content[place + 12 :])

    assert tile.size == (150, 50)


def test_profiles_and_progressive_files_are_pictures_as_well():
    """What today's encoders write is shown."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    for options in ({"progressive": True}, {"icc_profile": profile}, {"subsampling": 2}):
        assert is_near(tile_of(halves(300, 100, **options)).getpixel((20, 25)), RED)


def bombs():
    """Yield files whose header looks fine but that cannot be decoded, or would cost too much."""
    whole = halves(300, 100)
    scan = whole.index(b"\xff\xda")
    yield "cut in its scan", whole[: scan + 40]
    yield "cut before its scan", whole[:scan] + b"\xff\xd9"
    yield "empty", b""
    yield "text", b"torn"
    yield "no tables", whole[:2] + whole[whole.index(b"\xff\xc0") :]
    frame = whole.index(b"\xff\xc0")
    claimed = whole[: frame + 5] + struct.pack(">HH", 65_535, 65_535) + whole[frame + 9 :]
    yield "larger than it is", claimed
    yield "too large", jpeg(4_096, 4_097)
    progressive = halves(64, 64, progressive=True)
    last = progressive.rindex(b"\xff\xda")
    refinement = progressive[last:-2]
    yield "endless scans", progressive[:-2] + refinement * 5_000 + b"\xff\xd9"


BOMBS = dict(bombs())


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_not_a_picture_costs_itself(name):
    """None rather than an exception, and at once."""
    began = time.process_time()

    assert tile_of(BOMBS[name]) is None
    assert time.process_time() - began < 1


@pytest.fixture
def decoder():
    """Return a decoder with small limits."""
    decoder = TileDecoder(TileLimits(seconds=0.1))
    yield decoder
    decoder.close()


def noise(side, **options):
    """Return a JPEG of noise, the most expensive content there is."""
    buffer = io.BytesIO()
    image = Image.frombytes("RGB", (side, side), random.Random(1).randbytes(3 * side * side))
    image.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def test_a_file_that_takes_too_long_costs_its_limit_once(decoder):
    """It is refused by processor time, not decoded again, and the next one is drawn."""
    slow = noise(3_000, progressive=True)

    assert decoder.tile_of(slow) == "too_slow"
    began = time.process_time()
    assert decoder.tile_of(slow) == "too_slow"
    assert time.process_time() - began < 0.2
    assert decoder.tile_of(halves(300, 100)).size == (150, 50)


def test_a_file_that_takes_too_much_memory_is_refused():
    """At six bytes a pixel a progressive file of 64 million does not fit; the next one is drawn."""
    large = halves(8_000, 8_000, progressive=True, subsampling=0)
    decoder = TileDecoder(TileLimits(seconds=20, memory_bytes=128 << 20, pixels=8_000**2))
    try:
        assert isinstance(decoder.tile_of(large), str)
        assert decoder.tile_of(halves(300, 100)).size == (150, 50)
    finally:
        decoder.close()


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_not_a_picture_has_a_reason(decoder, name):
    """The reason becomes a label; there are three."""
    assert decoder.tile_of(BOMBS[name]) in ("damaged", "too_large")


def test_a_decoder_that_is_killed_costs_one_tile(decoder):
    """Whoever kills it, the next image has a new process."""
    whole = halves(300, 100)
    decoder.tile_of(whole)
    (worker,) = decoder._idle
    worker._process.kill()
    worker._process.wait()

    assert decoder.tile_of(halves(100, 300)) == "too_slow"
    assert decoder.tile_of(whole).size == (150, 50)


def test_a_decoder_that_is_closed_leaves_no_process(decoder):
    """And starts no other."""
    decoder.tile_of(halves(300, 100))
    (worker,) = decoder._idle
    decoder.close()

    assert worker._process.returncode is not None
    assert isinstance(decoder.tile_of(halves(100, 300)), str)


def test_the_process_that_decodes_ends_with_its_bridge(decoder):
    """Also where that was killed: its input has ended."""
    decoder.tile_of(halves(300, 100))
    (worker,) = decoder._idle
    worker._process.stdin.close()

    assert worker._process.wait(timeout=60) == 0


@given(st.binary(max_size=200), st.integers(0, 1_000), st.binary(max_size=8))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise(tail, place, damage):
    """Whatever is stored becomes a tile or None."""
    whole = halves(48, 16, orientation=6, progressive=True)
    for content in (whole[:place] + damage + whole[place + len(damage) :], whole[:place] + tail):
        tile = tile_of(content)
        assert tile is None or tile.size[0] * tile.size[1] > 0


async def test_each_picture_has_a_tile_of_its_own(open_client, stored):
    """An image that is not square has a background, a broken one is grey; the others are shown."""
    client = await open_client()
    running(client.deps)
    wide, tall = halves(300, 100), halves(100, 300)
    stored.add("run-1", 1, 7, [(wide, 1, 0.5, 1), (b"torn", 1, 0.5, 1), (tall, 1, 0.5, 1)])

    response = await client.get("/sessions/run-1/sheet.jpg")
    drawn = Image.open(io.BytesIO(await response.read())).convert("RGB")

    def pixel(column, x, y):
        return drawn.getpixel((GAP + column * (TILE + GAP) + x, HEADER_HEIGHT + y))

    assert drawn.height == HEADER_HEIGHT + TILE + LABEL_HEIGHT + 2 * GAP
    assert is_near(pixel(0, 20, 75), RED)
    assert is_near(pixel(0, 130, 75), BLUE)
    assert is_near(pixel(0, 75, 20), BACKDROP)
    assert is_near(pixel(0, 75, 130), BACKDROP)
    assert is_near(pixel(1, 20, 20), MISSING)
    assert is_near(pixel(2, 60, 75), RED)
    assert is_near(pixel(2, 20, 75), BACKDROP)
    refused = client.deps.telemetry.registry.get_sample_value
    assert refused("bridge_tiles_refused_total", {"reason": "damaged"}) == 1


async def test_a_store_that_is_away_is_not_a_traceback(open_client, stored, caplog):
    """The sheet is the placeholder, and the log has one line that says why."""

    def away(_place):
        raise StorageError("the object store did not answer")

    client = await open_client(read_image=away)
    running(client.deps)
    stored.add("run-1", 1, 7, pictures())
    for path in ("sheet.jpg", "sheet.jpg", "batches/1-7/0.jpg", "latest/0.jpg"):
        response = await client.get(f"/sessions/run-1/{path}")
        assert response.status == (200 if path == "sheet.jpg" else 503)

    lines = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert [record.getMessage() for record in lines] == ["a store could not be read"] * 2
    assert all(record.exc_info is None for record in lines)


async def test_a_crowd_gets_the_grey_picture(open_client, stored):
    """A store that hangs turns no sheet into an error."""

    class Full:
        async def run(self, _function):
            raise StorageError("200 calls wait already")

    client = await open_client(image_threads=Full())
    running(client.deps)
    stored.add("run-1", 1, 7, pictures())

    response = await client.get("/sessions/run-1/sheet.jpg")

    assert (response.status, await response.read()) == (200, contact_sheet.NO_IMAGE)


async def test_a_contact_sheet_shows_one_batch(open_client, stored):
    """The batch meant is drawn as one JPEG; where there is none, a placeholder with status 200."""
    client = await open_client()
    running(client.deps)
    empty = await client.get("/sessions/run-1/sheet.jpg?at=${__to}")
    nobody = await client.get("/sessions/nobody/sheet.jpg")
    stored.add("run-1", 1, 7, [*pictures(5), (b"torn", 1, 0.5, 1)])

    response = await client.get("/sessions/run-1/sheet.jpg?prefer=max_loss")

    assert (empty.status, nobody.status, response.status) == (200, 200, 200)
    assert await empty.read() == await nobody.read()
    body = await response.read()
    assert body.startswith(b"\xff\xd8\xff")
    assert body != await empty.read()


def test_a_label_shows_no_confidence_that_was_not_reported():
    """The label of a tile shows what is known."""
    location = ImageLocation("1.tar", stored=True, offset=0, length=1)

    assert label_of(IndexedImage(0, 1, None, 0, location), ("cat", "dog"))[1] == "x dog, is cat"
    assert label_of(IndexedImage(0, 1, None, 1, location), ("cat", "dog"))[1] == "dog"
    assert label_of(IndexedImage(0, 1, 0.75, 1, location), ("cat", "dog"))[1] == "dog 75%"


def test_a_sheet_of_another_batch_says_so():
    """Where the batch asked for has no images, the line above those of the nearest one names both."""
    batch = ImageBatch("run-1", 0, 160, 0, 0.5, 1)

    def place_text(epoch, batch):
        return f"{epoch}-{batch}"

    assert header_of(batch, None, place_text) == "0-160, loss 0.5000"
    assert header_of(batch, (0, 160), place_text) == "0-160, loss 0.5000"
    assert header_of(batch, (0, 150), place_text).startswith("no images of 0-150; nearest: 0-160")
