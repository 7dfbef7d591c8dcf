"""Sessions of the ranks of one run, as they report themselves."""

from support.pages import NOON

from bridge.hardware import Gpu, Resources
from bridge.lifecycle import Connected
from bridge.model import Client, Config, Performance, Status, StatusChange
from bridge.session import Session


def rank_performance(steps, *, seconds=None, phase="training", step_seconds=0.1, gpus=()):
    """Return what a rank reports every few seconds."""
    return Performance(
        batch_duration_seconds=step_seconds,
        resources=Resources(gpus=tuple(gpus)) if gpus else None,
        phase=phase,
        phase_seconds=seconds or {},
        batches=steps,
    )


def rank_client(rank, world_size=4, run_id="night"):
    """Return who registers as a rank."""
    return Client(
        "trainbridge", "1", f"instance-{rank}", run_id=run_id, rank=rank, world_size=world_size
    )


def rank_name(rank, run_id="night"):
    """Return the session of a rank, as the SDK names it."""
    return f"{run_id}-rank{rank}" if rank else run_id


def rank_session(rank, *performances, world_size=4, stepped_at=NOON, sessions=None, session_id=""):
    """Return the session of a rank that runs, in a registry where one is given."""
    client, config = rank_client(rank, world_size), Config(model_name="resnet")
    name = session_id or rank_name(rank)
    if sessions is None:
        session = Session(name, client, config, now=NOON - 600)
    else:
        session = sessions.register(name, client, config).session
    session.apply(Connected(), NOON - 600)
    session.apply(StatusChange(Status.RUNNING), NOON - 600)
    for place, performance in enumerate(performances):
        session.apply(performance, NOON - 60 * (len(performances) - 1 - place))
    session.stepped_at = stepped_at
    return session


def gpu(utilization=0.9, reasons=(), **values):
    """Return a GPU that reports its health."""
    return Gpu(
        0,
        "GPU-a",
        utilization,
        memory_used_bytes=30 * 2**30,
        memory_total_bytes=80 * 2**30,
        throttle_reasons=reasons,
        **values,
    )
