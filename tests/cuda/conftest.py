"""Where the tests of this folder run: in host memory always, and on a card where they are asked to."""

import os

import pytest

from bridge.client.capture import values
from bridge.client.capture.device import DeviceCopies

NO_CARD = "there is no CUDA device here"


@pytest.fixture(params=["cpu", "late", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request, monkeypatch):
    """Return each kind of device in turn; "late" is host memory that copies arrive from as from a card."""
    if request.param == "late":
        fake = pytest.importorskip("support.fake_device")
        with fake.LateDevice() as late:
            monkeypatch.setattr(values, "CUDA", DeviceCopies(late))
            yield "cpu"
        return
    if request.param == "cuda":
        request.getfixturevalue("card")
    yield request.param


@pytest.fixture
def card():
    """Return the first card, for tests of what only a card does."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip(NO_CARD)
    torch.cuda.synchronize()
    yield "cuda"
    torch.cuda.synchronize()


@pytest.fixture
def environment():
    """Return the environment of a process of its own that imports what these tests do."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, PATHS)))}


PATHS = (".", os.environ.get("PYTHONPATH", ""))
