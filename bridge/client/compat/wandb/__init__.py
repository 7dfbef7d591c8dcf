"""A module in the shape of wandb that reports to a bridge: `import bridge.client.compat.wandb as wandb`.

docs/migration/wandb.md says what becomes of each call. `loss_tag`, `histograms` and `step_metric` of
`init` are its own, and so are the arguments of TrainingSession.
"""

import logging
import os
from collections.abc import Mapping
from enum import Enum
from typing import Any

from bridge import __version__
from bridge.client.compat.histograms import TAGS
from bridge.client.compat.late_session import LateSession
from bridge.client.compat.named_values import named_values
from bridge.client.compat.step_log import AUTO
from bridge.client.compat.wandb.configuration import picked
from bridge.client.compat.wandb.environment import run_identity
from bridge.client.compat.wandb.media import (
    Artifact,
    Audio,
    Diagrams,
    Histogram,
    Html,
    Image,
    Molecule,
    NotShown,
    Object3D,
    Plotly,
    Table,
    Video,
)
from bridge.client.compat.wandb.tracked_run import Error, Run

__all__ = [
    "AlertLevel",
    "Artifact",
    "Audio",
    "Error",
    "Histogram",
    "Html",
    "Image",
    "Molecule",
    "Object3D",
    "Plotly",
    "Run",
    "Settings",
    "Table",
    "Video",
    "__version__",
    "finish",
    "init",
    "login",
    "plot",
    "setup",
]

_log = logging.getLogger("trainbridge")

plot = Diagrams()


class AlertLevel(Enum):
    """How serious an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Settings(NotShown):
    """Settings of wandb's own: those that are arguments of init as well count, the others mean nothing here."""

    def __init__(self, **given: Any) -> None:
        """Keep what was given."""
        self.given = given


_RUNS: list[Run] = []
"""The run that module-level calls belong to, if there is one."""

_OF_THE_RUN = frozenset(
    [
        "alert",
        "config",
        "define_metric",
        "link_artifact",
        "link_model",
        "log",
        "log_artifact",
        "log_code",
        "log_model",
        "mark_preempting",
        "restore",
        "save",
        "summary",
        "unwatch",
        "use_artifact",
        "use_model",
        "watch",
    ]
)
"""Names of this module that are those of the current run."""


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Any = None,
    config: Any = None,
    config_exclude_keys: Any = None,
    config_include_keys: Any = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    force: bool | None = None,
    reinit: bool | str | None = None,
    resume: bool | str | None = None,
    resume_from: str | None = None,
    fork_from: str | None = None,
    save_code: bool | None = None,
    tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    settings: Any = None,
    anonymous: Any = None,
    *,
    session: Any = None,
    loss_tag: str | None = AUTO,
    histograms: int = TAGS,
    step_metric: str | None = None,
    **options: Any,
) -> Run:
    """Begin a run, or return the one that goes on, unless `reinit` says otherwise.

    Args:
        entity: Not used: a bridge has no accounts.
        project: A label of the session, and its model where there is no name.
        dir: Where the folder of the run's own files is.
        id: The name of the session; a run of the same id is another attempt of it.
        name: Shown as the model.
        notes: A label.
        tags: A label, joined by commas.
        config: A dictionary, a Namespace or another object with values.
        config_exclude_keys: Names of config that are not reported.
        config_include_keys: Names of config that alone are reported.
        allow_val_change: Not used: values may always change.
        group: A label.
        job_type: A label.
        mode: online, offline (a spool keeps what is reported) or disabled.
        force: Not used.
        reinit: True or "finish_previous": the run that goes on ends. "create_new": it goes on beside.
        resume: Not used: a run of the same id is another attempt.
        resume_from: "ID?_step=N": the run and the step that it goes on after.
        fork_from: Not used.
        save_code: Not used.
        tensorboard: Not used: see bridge.client.compat.tensorboard.
        sync_tensorboard: Not used.
        monitor_gym: Not used.
        settings: A Settings or a dictionary: its mode, project and run_id count where init has none.
        anonymous: Not used.
        session: A session to report to, which somebody else closes.
        loss_tag: The name that is the loss of a step; "auto": the first that is called so. None: none is.
        histograms: Of how many names the quantiles of wandb.Histogram are reported.
        step_metric: The name of a number that steps are counted by; else each log is one.
        options: Arguments of TrainingSession.
    """
    if _RUNS and not _RUNS[-1].is_finished:
        if reinit in (True, "finish_previous", "default"):
            finish()
        elif reinit != "create_new":
            _log.warning(
                "wandb.init: a run goes on, which is returned; call wandb.finish() first, or give"
                " reinit='finish_previous'"
            )
            return _RUNS[-1]
    kept = settings.given if isinstance(settings, Settings) else settings
    said: Mapping[str, Any] = kept if isinstance(kept, Mapping) else {}
    identity = run_identity(
        project=project if project is not None else said.get("project"),
        name=name,
        id=id if id is not None else said.get("run_id"),
        mode=mode if mode is not None else said.get("mode"),
        group=group,
        job_type=job_type,
        tags=tags,
        notes=notes,
        dir=dir,
        resume_from=resume_from,
    )
    if resume and not identity.id:
        _log.warning(
            "wandb.init: resume=%r without an id begins a run of its own; give the id of the run that"
            " goes on, or set WANDB_RUN_ID",
            resume,
        )
    about = options if session is not None else identity.about(options)
    late = LateSession(about, session=session, is_silent=identity.mode == "disabled")
    run = Run(identity, late, loss_tag=loss_tag, histograms=histograms, step_metric=step_metric)
    _configure(run, config, config_include_keys, config_exclude_keys)
    if not (reinit == "create_new" and _RUNS):
        _RUNS[:] = [run]
    return run


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the run that goes on, if one does."""
    if _RUNS:
        _RUNS.pop().finish(exit_code, quiet)


def login(*_arguments: Any, **_options: Any) -> bool:
    """Return that nothing is missing: what a bridge asks for stands in TRAINBRIDGE_TOKEN."""
    return True


def setup(*_arguments: Any, **_options: Any) -> None:
    """Do nothing."""


def _configure(run: Run, config: Any, include: Any, exclude: Any) -> None:
    try:
        values: Mapping[str, Any] = named_values(config)
    except (TypeError, ValueError) as error:
        _log.warning("wandb.init: config left out, training goes on: %s", error)
        return
    run.config.update(picked(values, include, exclude))


def __getattr__(name: str) -> Any:
    run = _RUNS[-1] if _RUNS and not _RUNS[-1].is_finished else None
    if name == "run":
        return run
    if name in _OF_THE_RUN:
        if run is None:
            raise Error(f"call wandb.init() before wandb.{name}")
        return getattr(run, name)
    raise AttributeError(
        f"the drop-in for wandb has no {name!r}; docs/migration/wandb.md lists what it has, and for the"
        " rest keep wandb itself"
    )
