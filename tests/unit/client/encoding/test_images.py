"""Pictures of any kind become JPEG files, each independently of the others."""

import asyncio
import threading
import warnings
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from support.jpegs import jpeg, png

from bridge.client.encoding import files, images, pictures
from bridge.client.encoding.images import copied_picture, encode_images
from bridge.client.encoding.pixels import levels_of


class Panic(BaseException):
    """What an extension written in Rust raises; not an Exception."""


class Hostile(Image.Image):
    """A Pillow image that raises when its size is read."""

    def __init__(self, error):
        """Raise this."""
        super().__init__()
        self.error = error

    @property
    def size(self):
        """Raise."""
        raise self.error


class Unprintable(Panic):
    """An error whose `__str__` raises, too."""

    def __str__(self):
        """Raise."""
        raise Panic


def encoded(*given, dimension=1_000):
    """Encode images."""
    return encode_images(given, dimension=dimension, channels_first=False)


def decoded(picture, **options):
    """Return the pixels of what arrives."""
    ((_, file),), faults = encoded(picture, **options)
    assert faults == []
    return np.asarray(Image.open(BytesIO(file)))


@pytest.mark.parametrize(
    "error",
    [Panic("broken"), Unprintable(), asyncio.CancelledError(), MemoryError(), RecursionError()],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_picture_raises_costs_that_picture(error):
    """The others arrive at their places, also where it raises something other than an Exception."""
    found, faults = encoded(jpeg(), Hostile(error), jpeg())

    assert found == [(0, jpeg()), (2, jpeg())]
    ((place, fault),) = faults
    assert place == 1
    assert isinstance(fault, Exception)
    assert type(error).__name__ in repr(fault)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_the_sdks_thread_outlives_even_an_exit(error):
    """An exit that a value raises ends no background thread; in the main thread it is the program's."""
    results = []
    thread = threading.Thread(target=lambda: results.append(encoded(Hostile(error), jpeg())))
    thread.start()
    thread.join()

    ((found, faults),) = results
    assert found == [(1, jpeg())]
    assert [place for place, _ in faults] == [0]
    with pytest.raises(type(error)):
        encoded(Hostile(error))


@pytest.mark.parametrize("other", [-5.0, 0.3, 300.0, np.nan, 1e30])
def test_each_picture_is_judged_alone(other):
    """What its neighbours hold does not change how a picture looks."""
    picture = np.linspace(0, 1, 64).reshape(8, 8)
    found, _ = encoded(picture, np.full((8, 8), other))

    assert found[0][1] == encoded(picture)[0][0][1]


@given(
    arrays.arrays(
        st.one_of(
            arrays.floating_dtypes(),
            arrays.integer_dtypes(endianness="?"),
            arrays.unsigned_integer_dtypes(endianness="?"),
            arrays.boolean_dtypes(),
        ),
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    )
)
def test_any_numbers_are_a_picture(values):
    """Any numbers in any byte order: no warning, no error, and no higher value is darker."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        levels = levels_of(values)

    assert levels.shape == values.shape
    assert levels.dtype == np.uint8
    order = np.argsort(values, axis=None, kind="stable")
    ordered = levels.ravel()[order][~np.isnan(values.astype(float).ravel()[order])]
    assert (np.diff(ordered.astype(int)) >= 0).all()


@pytest.mark.parametrize("low", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_picture_normalised_and_brought_back_is_the_same_picture(low, dtype):
    """The rounding of ((x - mean) / deviation) * deviation + mean changes no level by more than rounding."""
    picture = np.linspace(low, 1, 3_072).reshape(32, 32, 3).astype(dtype)
    for mean, deviation in [(0.4914, 0.247), (0.4465, 0.2616), (0.1307, 0.3081)]:
        again = ((picture - dtype(mean)) / dtype(deviation)) * dtype(deviation) + dtype(mean)

        assert np.abs(levels_of(again).astype(int) - levels_of(picture)).max() <= 1


def test_a_pillow_image_is_left_as_it_was():
    """The loop's own picture keeps its size, its mode and its EXIF."""
    picture = Image.new("RGBA", (80, 40), (200, 0, 0, 255))
    picture.getexif()[0x0112] = 6

    assert decoded(picture, dimension=20).shape == (20, 10, 3)
    assert (picture.size, picture.mode, picture.getexif()[0x0112]) == ((80, 40), "RGBA", 6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_the_one_that_pillow_shows(orientation):
    """The eight ways to hold a camera, and values that mean none of them."""
    from PIL import ImageOps  # noqa: PLC0415 -- what is compared with

    picture = Image.radial_gradient("L").resize((64, 32)).crop((0, 0, 40, 20))
    picture.getexif()[0x0112] = orientation

    shown = decoded(picture).astype(int)

    expected = np.asarray(ImageOps.exif_transpose(picture)).astype(int)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 2


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_is_turned_once(kind, compression, orientation):
    """Also where Pillow turns it by itself as it is read (TIFF); as bytes, opened, loaded and copied."""
    from PIL import ImageOps  # noqa: PLC0415 -- what is compared with

    picture = Image.radial_gradient("L").resize((64, 32)).crop((0, 0, 40, 20))
    picture = picture.convert("CMYK" if kind == "JPEG" else "RGB")
    data = Image.Exif()
    data[0x0112] = orientation
    options = {"compression": compression} if kind == "TIFF" else {}
    buffer = BytesIO()
    picture.save(buffer, kind, exif=data, **options)
    read = Image.open(BytesIO(buffer.getvalue()))
    read.load()

    expected = np.asarray(ImageOps.exif_transpose(Image.open(buffer)).convert("RGB")).astype(int)
    for given_ in (buffer.getvalue(), Image.open(buffer), read, copied_picture(Image.open(buffer))):
        shown = decoded(given_).astype(int)
        assert shown.shape == expected.shape
        assert np.abs(shown - expected).mean() < 2


def saved(picture, kind, **options):
    """Return a picture as it is opened from a file of this kind."""
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return Image.open(buffer)


def lying():
    """Return a picture that is rotated by an orientation set on the object only."""
    picture = Image.new("RGB", (8, 6), (200, 100, 50))
    picture.getexif()[0x0112] = 6
    return picture


def put_upright():
    """Return a picture whose file says that it lies on its side, and whose object does not any more."""
    picture = saved(Image.new("RGB", (8, 6)), "PNG", exif=lying().getexif())
    del picture.getexif()[0x0112]
    return picture


def second_frame():
    """Return an animation at its second frame."""
    frames = [Image.new("RGB", (8, 6), shade) for shade in ("black", "white")]
    picture = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture.seek(1)
    return picture


def alpha_by_hand():
    """Return a picture whose palette was given with alpha."""
    picture = Image.new("P", (8, 6))
    picture.putpalette([200, 0, 0, 0], "RGBA")
    return picture


COPIED = {
    "a dark PGM of 16 bits": lambda: Image.open(
        BytesIO(b"P5 8 6 65535\n" + np.full((6, 8), 200, ">u2").tobytes())
    ),
    "a dark PNG of 16 bits": lambda: saved(Image.fromarray(np.full((6, 8), 200, np.uint16)), "PNG"),
    "a dark TIFF of 32 bits": lambda: saved(Image.new("I", (8, 6), 200), "TIFF"),
    "turned in memory": lying,
    "put upright in memory": put_upright,
    "turned by its file": lambda: saved(lying(), "PNG", exif=lying().getexif()),
    "a second frame": second_frame,
    "a transparent colour": lambda: saved(Image.new("L", (8, 6), 50), "PNG", transparency=50),
    "a palette with a transparent colour": lambda: saved(
        Image.new("P", (8, 6), 0), "GIF", transparency=0
    ),
    "a palette with alpha": lambda: Image.new("RGBA", (8, 6), (200, 0, 0, 0)).quantize(),
    "a palette with alpha from a file": lambda: saved(
        Image.new("RGBA", (8, 6), (200, 0, 0, 0)).quantize(), "PNG"
    ),
    "a palette with alpha by hand": alpha_by_hand,
    "CMYK from a JPEG": lambda: saved(Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG"),
    **{mode: lambda mode=mode: Image.new(mode, (8, 6)) for mode in Image.MODES},
}


@pytest.mark.parametrize("make", COPIED.values(), ids=COPIED)
def test_a_copy_is_shown_as_the_picture_is(make):
    """Nothing that decides how a picture is shown is lost where it is copied at the call."""
    assert np.array_equal(decoded(copied_picture(make())), decoded(make()))


def test_noise_does_not_change_the_range():
    """A dark picture whose noise goes below black and above white is not taken for one of -1..1, nor stretched."""
    random = np.random.default_rng(1)
    picture = np.zeros((28, 28))
    picture[6:22, 10:18] = 1
    for deviation in (0.05, 0.1, 0.15, 0.2):
        for span in (1, 255):
            noisy = picture + random.normal(0, deviation, picture.shape)
            expected = np.rint(noisy.clip(0, 1) * 255)

            assert np.abs(levels_of(noisy * span) - expected).max() <= 1


@pytest.mark.parametrize("darkest", [0.0, 0.1, 0.2])
def test_a_picture_of_both_signs_is_not_taken_for_a_noisy_one(darkest):
    """One of -1..1 goes below 0 and not above 1, also where it is bright."""
    picture = np.linspace(darkest, 1, 1024).reshape(32, 32) ** 0.9

    assert np.abs(levels_of(picture * 2 - 1).astype(int) - picture * 255).max() <= 1


@pytest.mark.parametrize("value", [0, 9, "sideways", b"\x06"])
def test_an_odd_orientation_costs_no_picture(value):
    """An invalid orientation is ignored."""
    picture = Image.new("L", (8, 6))
    picture.getexif()[0x0112] = value

    assert decoded(picture).shape == (6, 8)


def test_half_a_photo_is_shown():
    """Of a truncated JPEG, what can be decoded is shown."""
    buffer = BytesIO()
    Image.new("L", (640, 480), 250).save(buffer, "JPEG", quality=100)
    half = buffer.getvalue()[: len(buffer.getvalue()) * 3 // 4]

    shown = decoded(half)

    assert shown.shape == (480, 640)
    assert shown[0, 0] == 250


@pytest.fixture
def no_pillow(monkeypatch):
    """Take Pillow away."""
    for module in (files, images, pictures):
        monkeypatch.setattr(module, "Image", None)


@pytest.mark.usefixtures("no_pillow")
def test_ready_files_need_no_pillow():
    """A JPEG is cut at its end without Pillow; what must be encoded says what is missing."""
    found, faults = encoded(
        jpeg(),
        jpeg() + bytes(512),
        b"xx" + jpeg(),
        png(),
        jpeg()[:-2],
        jpeg(80, 8),
        np.zeros((8, 8)),
        dimension=64,
    )

    assert found == [(0, jpeg()), (1, jpeg()), (2, jpeg())]
    assert [place for place, _ in faults] == [3, 4, 5, 6]
    assert all("JPEG" in str(fault) for _, fault in faults)
    assert "80x8 pixels" in str(faults[2][1])
