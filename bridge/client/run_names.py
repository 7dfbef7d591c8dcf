"""What the session of a process is called, and the run that it belongs to."""

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

from bridge.client.settings import ProcessRank, Ranks, session_name

RANKED_LENGTH = 54
"""Characters of a run's name that are left of it in the names of its ranks."""


class RunName(NamedTuple):
    """The names of a process's session and of its run."""

    session_id: str
    run_id: str = ""
    """What the sessions of all ranks have in common; "" where they have no name in common."""


def run_name(
    wanted: str | None,
    model: str,
    process: ProcessRank,
    ranks: Ranks,
    environment: Mapping[str, str] = os.environ,
) -> RunName:
    """Return the names of a process's session and of its run. Raises ValueError as `session_name` does.

    The run is called as the session of the process that reports for all. With `ranks="light"` its other ranks need
    a name that all of them find by themselves: the one given, the launcher's for the run, or one made of
    what only the processes of one job have in common.
    """
    if ranks == "light":
        return _light_name(wanted, model, process, environment)
    name = session_name(wanted, model, process, ranks, environment)
    if ranks == "all":
        has_in_common = bool(wanted or process.group)
        return RunName(name, _without_rank(name, process) if has_in_common else "")
    return RunName(name, name)


def rank_labels(
    labels: Mapping[str, str], process: ProcessRank, ranks: str, session_id: str
) -> dict[str, str]:
    """Return the labels of a session, with those that sessions of all ranks have always had."""
    own = dict(labels)
    if ranks == "all":
        own |= {"rank": str(process.rank), "group": _without_rank(session_id, process)}
    return own


def _without_rank(name: str, process: ProcessRank) -> str:
    return name.removesuffix(f"-rank{process.rank}")


def _light_name(
    wanted: str | None, model: str, process: ProcessRank, environment: Mapping[str, str]
) -> RunName:
    group = process.group or job_name(environment)
    base = session_name(wanted, model, replace(process, group=group), "zero", environment)
    run_id = base if wanted or group else ""
    return RunName(light_session(base, process.rank) if run_id else base, run_id)


def light_session(run_id: str, rank: int) -> str:
    """Return the name of a rank's session in a run that reports lightly; rank 0 has that of the run."""
    return ranked_session(run_id, rank) if rank else run_id


def ranked_session(run_id: str, rank: int) -> str:
    """Return the name of a rank's session in a run where each rank has one."""
    return f"{run_id[:RANKED_LENGTH]}-rank{rank}"


def job_name(environment: Mapping[str, str]) -> str:
    """Return a name that the processes of one job find by themselves, and no other job does; "": there is none.

    A namespace of PMIx, a job step of SLURM, or the agent of a torchrun that has all processes on one
    machine. MASTER_ADDR and MASTER_PORT are the same again for the next job, and name none.
    """
    if namespace := environment.get("PMIX_NAMESPACE", ""):
        return short_digest(namespace)
    job = environment.get("SLURM_JOB_ID", "")
    if job and environment.get("SLURM_NTASKS", "1") != "1":
        return f"{job}-{environment.get('SLURM_STEP_ID', '0')}"
    size = environment.get("WORLD_SIZE", "")
    if size and size == environment.get("LOCAL_WORLD_SIZE"):
        agent = (socket.gethostname(), str(os.getppid()), environment.get("MASTER_PORT", ""))
        return short_digest("/".join(agent))
    return ""


def short_digest(text: str) -> str:
    """Return a few characters that two texts do not share, for names."""
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
