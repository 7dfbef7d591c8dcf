"""What the fuzzer was given, and what it has found, stays harmless: each input of each corpus, without the fuzzer."""

import importlib
import time
import tracemalloc
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
TARGETS = sorted(path.stem for path in (FOLDER / "targets").glob("*.py"))
INPUTS = sorted(path for path in (FOLDER / "corpus").rglob("*") if path.is_file())

SECONDS = 20.0
"""Of the processor: a hundred times what the slowest of them takes."""

MEMORY_BYTES = 64 << 20


def test_each_target_has_a_corpus():
    """No target begins with nothing, and no input is left without the target that it was for."""
    assert sorted({path.parent.name for path in INPUTS}) == TARGETS


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_input_is_harmless(path):
    """It raises nothing that is not expected, and takes little time and memory."""
    target = importlib.import_module(f"fuzz.targets.{path.parent.name}")
    data = path.read_bytes()

    tracemalloc.start()
    try:
        begun = time.thread_time()
        target.run(data)
        seconds = time.thread_time() - begun
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert seconds < SECONDS
    assert peak < MEMORY_BYTES
