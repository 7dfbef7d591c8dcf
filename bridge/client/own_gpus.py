"""Which of a machine's GPUs a process uses, worked out without initialising CUDA."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bridge.client.encoding.isolation import let_through

Gpus = Literal["visible", "all", "none"]
"""The GPUs that CUDA shows this process, those of the whole machine, or none."""

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"

LOCAL_RANKS = (
    ("LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"),
)
"""The variables of each launcher: the rank of a process on its node, and how many processes run there."""

TASK_COUNTS = re.compile(r"(?<![x0-9])[0-9]+")
"""The numbers of tasks in "4", and in SLURM's "4(x2),1" for three nodes."""

NUMBER = re.compile(r"[0-9]{1,9}")
LEADING_NUMBER = re.compile(r"[+-]?[0-9]{1,9}")
"""Of as many digits as show that there is no such GPU."""

MIG_PATH = re.compile(r"MIG-(GPU-[^/]+)/([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class MigInstance:
    """One slice of a GPU in MIG mode."""

    uuid: str
    """MIG-..., as nvidia-smi -L shows it."""
    gpu_instance: int
    compute_instance: int
    handle: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as NVML describes it."""

    index: int
    """As NVML counts: in the order of the PCI bus."""
    uuid: str
    """GPU-...; "" where it is not known."""
    handle: Any = field(default=None, compare=False)
    """None while NVML cannot reach it."""
    uses_mig: bool = False
    instances: tuple[MigInstance, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A GPU, or a slice of one, that a process can use as one CUDA device."""

    device: Device
    instance: MigInstance | None = None


@dataclass(frozen=True, slots=True)
class CudaView:
    """What CUDA itself shows a process."""

    uuids: tuple[str, ...]
    """In CUDA's order, without "GPU-" or "MIG-"."""
    current: int
    """The current device of the training thread."""


class _Unknown:
    """An entry that cannot be judged while a GPU is out of reach."""


_UNKNOWN = _Unknown()


def checked_gpus(gpus: str) -> Gpus:
    """Return a valid setting as it is; raises ValueError for any other."""
    if gpus not in get_args(Gpus):
        raise ValueError(f"gpus: {gpus!r} is not one of {', '.join(get_args(Gpus))}")
    return gpus  # type: ignore[return-value]


def cuda_view() -> CudaView | None:
    """Return which GPUs torch sees; None where it is not loaded or has not initialised CUDA.

    Call it in the training thread: each thread has a current device of its own. It initialises nothing
    and waits for no GPU: `get_device_properties` reads what the driver has stored.
    """
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return None
        count = torch.cuda.device_count()
        uuids = tuple(str(torch.cuda.get_device_properties(i).uuid) for i in range(count))
        return CudaView(uuids, int(torch.cuda.current_device()))
    except Exception as error:  # noqa: BLE001 -- older versions have no uuid; the variables decide then
        let_through(error)
        return None


def selection_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of the variables that `own_gpus` reads."""
    names = (VISIBLE_DEVICES, *(name for pair in LOCAL_RANKS for name in pair))
    return {name: environment[name] for name in names if name in environment}


def own_gpus(
    devices: Sequence[Device],
    gpus: Gpus,
    environment: Mapping[str, str],
    cuda: CudaView | None = None,
) -> list[Target]:
    """Return the GPUs that this process uses, the first one first.

    `devices` are those of NVML, ordered by index. Without `cuda`, an index in
    CUDA_VISIBLE_DEVICES is taken as NVML's, which is exact with CUDA_DEVICE_ORDER=PCI_BUS_ID and
    wherever all GPUs are of one model.
    """
    if gpus == "none":
        return []
    if gpus == "all":
        return [Target(device) for device in devices]
    shown = [] if cuda is None else _shown_by_cuda(devices, cuda.uuids)
    targets = shown or _enumerated(_visible(devices, environment.get(VISIBLE_DEVICES)))
    return _of_local_rank(targets, environment, cuda.current if cuda and shown else 0)


def _shown_by_cuda(devices: Sequence[Device], uuids: Iterable[str]) -> list[Target]:
    by_uuid = {device.uuid.removeprefix("GPU-"): Target(device) for device in devices}
    by_uuid |= {
        instance.uuid.removeprefix("MIG-"): Target(device, instance)
        for device in devices
        for instance in device.instances
    }
    targets = (by_uuid.get(uuid.removeprefix("GPU-").removeprefix("MIG-")) for uuid in uuids)
    return [target for target in targets if target is not None]


def _visible(devices: Sequence[Device], variable: str | None) -> list[Target]:
    """Read CUDA_VISIBLE_DEVICES as the driver does.

    Entries after the first invalid one are ignored (CUDA Programming Guide, "CUDA Environment
    Variables"); a repeated entry leaves no device at all, and the first entry decides whether the list holds
    indices or UUIDs (PyTorch, torch.cuda._parse_visible_devices).
    """
    if variable is None:
        return [Target(device) for device in devices]
    find = _by_index
    if variable.startswith("GPU-"):
        find = _by_uuid
    elif variable.startswith("MIG-"):
        find = _by_mig
    targets: list[Target] = []
    for entry in variable.split(","):
        target = find(devices, entry.strip())
        if target is None:
            break
        if isinstance(target, _Unknown):
            continue
        if target in targets:
            return []
        targets.append(target)
    return targets


def _by_index(devices: Sequence[Device], entry: str) -> Target | _Unknown | None:
    number = LEADING_NUMBER.match(entry)  # as strtoul reads it
    index = int(number[0]) if number else -1
    return Target(devices[index]) if 0 <= index < len(devices) else None


def _by_uuid(devices: Sequence[Device], entry: str) -> Target | _Unknown | None:
    if not entry.startswith("GPU-"):
        return None
    return _only([Target(device) for device in devices if device.uuid.startswith(entry)], devices)


def _by_mig(devices: Sequence[Device], entry: str) -> Target | _Unknown | None:
    if not entry.startswith("MIG-"):
        return None
    path = MIG_PATH.fullmatch(entry)
    return _only(
        [
            Target(device, instance)
            for device in devices
            for instance in device.instances
            if instance.uuid.startswith(entry) or (path and _is_at(device, instance, path))
        ],
        devices,
    )


def _is_at(device: Device, instance: MigInstance, path: re.Match[str]) -> bool:
    """Return whether this is the slice that MIG-<GPU UUID>/<GPU instance>/<compute instance> names."""
    ids = (instance.gpu_instance, instance.compute_instance)
    return device.uuid.startswith(path[1]) and ids == (int(path[2]), int(path[3]))


def _only(matches: list[Target], devices: Sequence[Device]) -> Target | _Unknown | None:
    """Return the only match: an entry that matches several GPUs is as invalid as one that matches none."""
    if len(matches) == 1:
        return matches[0]
    if not matches and any(not device.uuid for device in devices):
        return _UNKNOWN
    return None


def _enumerated(targets: Sequence[Target]) -> list[Target]:
    """Return those of the targets that CUDA can show at the same time.

    It shows one MIG slice, the first, and no other GPU beside it (NVIDIA MIG User Guide, "Device
    Enumeration"); a GPU in MIG mode without slices cannot be used.
    """
    slices = [
        Target(target.device, instance)
        for target in targets
        for instance in ((target.instance,) if target.instance else target.device.instances)
    ]
    return slices[:1] or [target for target in targets if not target.device.uses_mig]


def _of_local_rank(
    targets: list[Target], environment: Mapping[str, str], current: int
) -> list[Target]:
    """Return only this process's GPU where a launcher has started one process per GPU, each of which sees all.

    That is torch's current device where the process has set one, else the one of its local rank.
    """
    index = current or _local_rank(environment) or 0
    if _local_rank(environment) is None or index >= len(targets):
        return targets
    return [targets[index]]


def _local_rank(environment: Mapping[str, str]) -> int | None:
    """Return this process's rank among several on this node; None where it is the only one."""
    for rank, size in LOCAL_RANKS:
        if not NUMBER.fullmatch(environment.get(rank, "")):
            continue
        sizes = TASK_COUNTS.findall(environment.get(size, ""))
        if (sizes and set(sizes) == {"1"}) or (not sizes and rank == "SLURM_LOCALID"):
            return None  # in a batch script SLURM_LOCALID is 0 whatever runs there
        return int(environment[rank])
    return None
