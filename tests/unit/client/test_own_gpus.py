"""Which GPUs a process uses."""

import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.client.own_gpus import (
    CudaView,
    Device,
    MigInstance,
    checked_gpus,
    cuda_view,
    own_gpus,
)

UUIDS = ["GPU-8932f937-d72c", "GPU-8932aaaa-d72c", "GPU-11110000-d72c", "GPU-22220000-d72c"]
DEVICES = [Device(index, uuid, handle=object()) for index, uuid in enumerate(UUIDS)]

SLICES = (MigInstance("MIG-aaaa-1", 1, 0, object()), MigInstance("MIG-aabb-2", 2, 0, object()))
SLICED = [DEVICES[0], Device(1, UUIDS[1], object(), uses_mig=True, instances=SLICES)]


def own(devices=DEVICES, gpus="visible", cuda=None, **environment):
    """Return indices, and UUIDs of slices."""
    found = own_gpus(devices, gpus, environment, cuda)
    return [target.instance.uuid if target.instance else target.device.index for target in found]


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        (" ", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("3", [3]),
        ("0,2", [0, 2]),
        (" 2 , 0 ", [2, 0]),
        ("2,1,", [2, 1]),
        ("0,2,-1,1", [0, 2]),
        ("0,9,1", [0]),
        ("9", []),
        ("1gpu2,2ampere", [1, 2]),
        ("1,x,2", [1]),
        ("1,1", []),
        ("0,GPU-1111", [0]),
        ("GPU-8932f937-d72c", [0]),
        ("GPU-8932f,GPU-1111", [0, 2]),
        ("GPU-8932", []),
        ("GPU-1111,GPU-dead,GPU-2222", [2]),
        ("GPU-1111,0", [2]),
        ("GPU-1111,GPU-11110000", []),
        ("gpu-1111", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(text, indices):
    """Indices, UUIDs and their prefixes; nothing after an invalid entry."""
    environment = {} if text is None else {"CUDA_VISIBLE_DEVICES": text}

    assert own(**environment) == indices


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, ["MIG-aaaa-1"]),
        ("1", ["MIG-aaaa-1"]),
        ("0", [0]),
        ("0,1", ["MIG-aaaa-1"]),
        ("MIG-aabb-2", ["MIG-aabb-2"]),
        ("MIG-aab", ["MIG-aabb-2"]),
        ("MIG-aa", []),
        ("MIG-aabb-2,MIG-aaaa-1", ["MIG-aabb-2"]),
        (f"MIG-{UUIDS[1]}/2/0", ["MIG-aabb-2"]),
        (f"MIG-{UUIDS[1]}/2/1", []),
        (f"MIG-{UUIDS[0]}/2/0", []),
        (UUIDS[1], ["MIG-aaaa-1"]),
    ],
)
def test_cuda_shows_one_mig_slice_and_nothing_beside_it(text, found):
    """The one named by its own UUID or by GPU and instances; else the first one."""
    environment = {} if text is None else {"CUDA_VISIBLE_DEVICES": text}

    assert own(SLICED, **environment) == found


def test_a_gpu_in_mig_mode_without_slices_is_nobodys():
    """No process can use it."""
    assert own([DEVICES[0], Device(1, UUIDS[1], object(), uses_mig=True)]) == [0]


def test_all_and_none():
    """The whole machine whatever CUDA shows, or nothing; an unknown setting is rejected."""
    assert own(gpus="all", CUDA_VISIBLE_DEVICES="1", LOCAL_RANK="0") == [0, 1, 2, 3]
    assert own(SLICED, gpus="all") == [0, 1]
    assert own(gpus="none") == []
    assert checked_gpus("all") == "all"
    with pytest.raises(ValueError, match="gpus: 'mine' is not one of visible, all, none"):
        checked_gpus("mine")


@pytest.mark.parametrize(
    ("environment", "indices"),
    [
        ({"LOCAL_RANK": "2"}, [2]),
        ({"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4"}, [0]),
        ({"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, [0, 1, 2, 3]),
        ({"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "3,2"}, [2]),
        ({"LOCAL_RANK": "2", "CUDA_VISIBLE_DEVICES": "3"}, [3]),
        ({"LOCAL_RANK": "7"}, [0, 1, 2, 3]),
        ({"LOCAL_RANK": "x"}, [0, 1, 2, 3]),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "3", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, [3]),
        ({"MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"}, [1]),
        ({"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, [1]),
        ({"SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, [0, 1, 2, 3]),
        ({"SLURM_LOCALID": "0"}, [0, 1, 2, 3]),
    ],
)
def test_a_process_for_each_gpu_has_that_gpu(environment, indices):
    """The one of its local rank, where it is one of several that see the same GPUs."""
    assert own(**environment) == indices


def test_what_cuda_shows_comes_before_the_variable():
    """CUDA's first GPU is the fastest one unless CUDA_DEVICE_ORDER is PCI_BUS_ID."""
    view = CudaView(("11110000-d72c", "8932f937-d72c"), 0)

    assert own(cuda=view, CUDA_VISIBLE_DEVICES="0,1") == [2, 0]
    assert own(cuda=view, CUDA_VISIBLE_DEVICES="0,1", LOCAL_RANK="1") == [0]
    assert own(cuda=CudaView(view.uuids, 1), LOCAL_RANK="0", LOCAL_WORLD_SIZE="2") == [0]
    assert own(cuda=CudaView(view.uuids, 1)) == [2, 0]
    assert own(SLICED, cuda=CudaView(("aabb-2",), 0)) == ["MIG-aabb-2"]
    assert own(cuda=CudaView(("unheard-of",), 0), CUDA_VISIBLE_DEVICES="1") == [1]


@given(
    st.text("0123456789,+- xGPUMI/af\uff13", max_size=30) | st.just("9" * 5000), st.text(max_size=9)
)
def test_whatever_the_variables_hold_means_some_gpus_or_none(text, rank):
    """Nothing is raised, and no GPU is listed twice."""
    found = own(CUDA_VISIBLE_DEVICES=text)

    assert len(found) == len(set(found))
    assert len(own(SLICED, CUDA_VISIBLE_DEVICES=text)) <= 2
    assert own(LOCAL_RANK=rank, SLURM_LOCALID=text)


def test_a_uuid_that_cannot_be_read_now_ends_no_list():
    """A GPU that was lost from the start may be the one that is meant."""
    lost = [Device(0, ""), *DEVICES[1:]]

    assert own(lost, CUDA_VISIBLE_DEVICES="GPU-8932f,GPU-1111") == [2]


class Cuda:
    """A torch.cuda that the SDK must not initialise."""

    def __init__(self, *, is_initialized, uuids=("a", "b")):
        self.is_initialized = lambda: is_initialized
        self._uuids = uuids

    def _checked(self):
        if not self.is_initialized():
            raise AssertionError("this would initialise CUDA")

    def device_count(self):
        self._checked()
        return len(self._uuids)

    def get_device_properties(self, index):
        self._checked()
        return SimpleNamespace(uuid=self._uuids[index])

    def current_device(self):
        self._checked()
        return 1


def test_torch_is_asked_only_where_it_has_initialised_cuda(monkeypatch):
    """Nothing is imported or initialised just to read it."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert cuda_view() is None
    assert "torch" not in sys.modules
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda(is_initialized=False)))
    assert cuda_view() is None
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda(is_initialized=True)))
    assert cuda_view() == CudaView(("a", "b"), 1)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    assert cuda_view() is None
