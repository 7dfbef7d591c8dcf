"""The benchmark of a loop on a GPU, on machines that have none."""

import pytest

torch = pytest.importorskip("torch")

import bench_cuda  # noqa: E402 -- only where PyTorch is there
import device_loop  # noqa: E402
from table import table  # noqa: E402

from bridge.client.testing import RecordingBridge  # noqa: E402


def test_without_a_card_one_row_says_so(monkeypatch):
    """`make bench` works everywhere, and claims nothing that was not measured."""
    monkeypatch.setattr(bench_cuda, "has_cuda", lambda: False)
    (row,) = bench_cuda.rows(quick=True)

    assert row.figure is None
    assert row.ratio is None
    assert "not measured here: no CUDA device" in table([row])


def test_the_loop_runs_on_any_device(monkeypatch):
    """All but what only a card can count; peers that are missing are named."""
    monkeypatch.setattr(device_loop, "STEP_SECONDS", 0.001)
    for module in (bench_cuda, device_loop):
        monkeypatch.setattr(module, "BATCH", 16)
        monkeypatch.setattr(module, "SIDE", 16)
    monkeypatch.setattr(
        bench_cuda, "PEERS", {"no_such_package": bench_cuda.Logger("none", lambda: None)}
    )
    found = list(bench_cuda.measured("cpu", RecordingBridge(), quick=True))

    assert [row.name.split(",")[0] for row in found] == [
        *(["training slowed", "log_batch", "log_batch"] * 2),
        "peers: no_such_package",
    ]
    assert all(set(row.peers) == {"loss.item()"} for row in found[:-1])
    floors = [row.floor[0] for row in found if row.name.startswith("log_batch")]
    assert floors == ["a bare copy of it"] * 2 + ["bare copies of them"] * 2
