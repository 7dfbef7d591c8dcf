"""Names that stay the same when a job is restarted: `session_id="auto"`."""

import os
import re
import socket
from collections.abc import Callable, Mapping

from bridge.client.run_names import RANKED_LENGTH, short_digest
from bridge.client.settings import ProcessRank, session_prefix, slug

AUTO = "auto"

LENGTH = RANKED_LENGTH
"""Characters of a name, so that the end of one is not cut off where each rank has a session of its own."""

OWN_VARIABLE = "TRAINBRIDGE_JOB_NAME"
"""What counts before all others, anywhere."""

JOB_VARIABLES = ("JOB_NAME", "KUBERNETES_JOB_NAME")
"""Variables that a pod's manifest may set to the name of its job."""

POD_NAMES = (
    re.compile(r"(.+)-(?:master|worker|chief|launcher|ps|replica|node)-\d+"),
    re.compile(r"(.+)-[bcdfghjklmnpqrstvwxz2456789]{5}"),
    re.compile(r"(.+-\d+)"),
)
"""Host names of pods that are not made anew with each pod, or the part of them that is not: of the training operators,
of a Job, of a StatefulSet."""

LOOKED_FOR = (
    "session_id='auto' needs a name that is the same after a restart, and found none: no SLURM_JOB_ID; outside of"
    " Kubernetes (no KUBERNETES_SERVICE_HOST), or a pod whose name does not show its job, without"
    f" {' or '.join(JOB_VARIABLES)}; no TORCHELASTIC_RUN_ID (torchrun --rdzv-id). Set {OWN_VARIABLE}, or give"
    " a session_id"
)


def stable_name(
    wanted: str | None,
    model: str,
    process: ProcessRank,
    environment: Mapping[str, str] = os.environ,
    host: Callable[[], str] = socket.gethostname,
) -> str | None:
    """Return the name wanted; for "auto", the model with the name of the job that this process belongs to.

    All ranks of a job get the same. Raises ValueError where no scheduler has left one.
    """
    if wanted != AUTO:
        return wanted
    index = "" if process.is_one_of_several else environment.get("JOB_COMPLETION_INDEX", "")
    given = environment.get(OWN_VARIABLE, "").strip()
    job = _with(given, index) or _slurm(environment)
    job = job or _kubernetes(environment, index, host) or _torchrun(environment)
    if not job:
        raise ValueError(LOOKED_FOR)
    prefix = session_prefix(environment)
    return f"{prefix}{_named_after(job, model, LENGTH - len(prefix))}"


def _named_after(job: str, model: str, length: int) -> str:
    """Return a name of at most so many characters that no other job gets."""
    digest = short_digest(job)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", job).strip("-._") or digest
    if name != job:
        name = f"{name}-{digest}"
    if len(name) > length:
        name = f"{name[: max(0, length - 9)]}-{digest}".lstrip("-")[:length]
    stem = slug(model)[: max(0, length - 1 - len(name))].strip("-")
    return f"{stem}-{name}" if stem else name


def _slurm(environment: Mapping[str, str]) -> str:
    """Return a name by the job's number, which stays when it is requeued, and its task of a job array."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID", ""), environment.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"slurm-{array}-{task}"
    job = environment.get("SLURM_JOB_ID", "")
    return f"slurm-{job}" if job else ""


def _kubernetes(environment: Mapping[str, str], index: str, host: Callable[[], str]) -> str:
    """Return the name of the job that a pod belongs to, with the pod's index where each trains for itself."""
    if not environment.get("KUBERNETES_SERVICE_HOST"):
        return ""
    for variable in JOB_VARIABLES:
        if job := environment.get(variable, "").strip():
            return _with(job, index)
    pod = environment.get("POD_NAME", "") or host()
    if own := environment.get("JOB_COMPLETION_INDEX", ""):
        return _with(re.sub(rf"-{re.escape(own)}(-[a-z0-9]{{5}})?$", "", pod), index)
    matches = (pattern.fullmatch(pod) for pattern in POD_NAMES)
    return next((match[1] for match in matches if match), "")


def _with(job: str, index: str) -> str:
    return f"{job}-{index}" if job and index else job


def _torchrun(environment: Mapping[str, str]) -> str:
    """Return the name that torchrun was given for the run."""
    run_id = environment.get("TORCHELASTIC_RUN_ID", "")
    return "" if run_id == "none" else run_id
