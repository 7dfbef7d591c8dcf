"""What a run is, of the arguments of init and the variables of the environment that wandb knows."""

import logging
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bridge.client.run_names import short_digest

log = logging.getLogger("trainbridge")

ID_CHARACTERS = 62
LABEL_CHARACTERS = 256
TRUE = ("1", "true", "yes", "on")

MODES = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


class RunIdentity(NamedTuple):
    """Who a run is."""

    id: str
    name: str
    project: str
    mode: str
    """online, offline or disabled."""
    group: str
    job_type: str
    tags: tuple[str, ...]
    notes: str
    folder: Path
    """Where its own files would be."""
    step: int | None
    """Where it goes on."""

    def about(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of its session; those that the script gives itself count."""
        labels = {
            "project": self.project,
            "run": self.name,
            "group": self.group,
            "job_type": self.job_type,
            "tags": ",".join(self.tags),
            "notes": self.notes,
        }
        given = options.get("labels") or {}
        about: dict[str, Any] = {
            "model": self.name or self.project,
            "session_id": self.id,
            "resume_step": self.step,
        }
        if self.mode == "offline":
            about |= self._offline()
        about |= options
        about["labels"] = {k: v[:LABEL_CHARACTERS] for k, v in labels.items() if v} | dict(given)
        return about

    def _offline(self) -> dict[str, Any]:
        folder = os.environ.get("TRAINBRIDGE_SPOOL_DIR") or str(self.folder.parent / "spool")
        log.warning(
            "mode='offline': what is reported is kept in %s, and sent where a bridge answers;"
            " `trainbridge sync %s` sends it later",
            folder,
            folder,
        )
        return {"spool_dir": folder, "close_seconds": 0.0}


def run_identity(
    *,
    project: Any,
    name: Any,
    id: Any,
    mode: Any,
    group: Any,
    job_type: Any,
    tags: Any,
    notes: Any,
    dir: Any,
    resume_from: Any,
    environment: Mapping[str, str] = os.environ,
) -> RunIdentity:
    """Return who a run is; what init is not given comes from the variables WANDB_*."""

    def either(given: Any, variable: str) -> str:
        return str(given) if given is not None else environment.get(f"WANDB_{variable}", "")

    run_id, step = _place(resume_from)
    run_id = run_id or either(id, "RUN_ID")
    listed = (tags,) if isinstance(tags, str) else tags
    if listed is None:
        listed = [tag for tag in environment.get("WANDB_TAGS", "").split(",") if tag]
    folder = Path(either(dir, "DIR") or ".") / "trainbridge-files"
    shown = either(name, "NAME")
    return RunIdentity(
        _session_id(run_id),
        shown,
        either(project, "PROJECT") or _script_name(),
        _mode(mode, environment),
        either(group, "RUN_GROUP"),
        either(job_type, "JOB_TYPE"),
        tuple(map(str, listed)),
        either(notes, "NOTES"),
        folder / (_session_id(run_id or shown) or "run"),
        step,
    )


def _mode(given: Any, environment: Mapping[str, str]) -> str:
    if environment.get("WANDB_DISABLED", "").lower() in TRUE:
        return "disabled"
    wanted = str(given or environment.get("WANDB_MODE") or "online").lower()
    if wanted not in MODES:
        log.warning("mode %r is none of online, offline and disabled: online counts", wanted[:32])
    return MODES.get(wanted, "online")


def _place(resume_from: Any) -> tuple[str, int | None]:
    """Return the run and the step of "ID?_step=N"."""
    found = re.fullmatch(r"([^?]+)\?_step=(\d+)", str(resume_from or ""))
    return (found[1], int(found[2]) + 1) if found else ("", None)


def _session_id(run_id: str) -> str:
    """Return a name that a bridge takes; "": it makes one."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", run_id).strip("-._")
    if name != run_id or len(name) > ID_CHARACTERS:
        name = f"{name[: ID_CHARACTERS - 9]}-{short_digest(run_id)}" if run_id else ""
        name = name.lstrip("-._")
    return name


def _script_name() -> str:
    return Path(sys.argv[0] if sys.argv else "").stem or "run"
