"""Lightning: a logger, for what a module logs by name."""

import logging
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from bridge.client.integrations.lightning_bases import bases
from bridge.client.integrations.metric_names import by_split
from bridge.client.integrations.owned_session import OwnedSession, guarded
from bridge.client.session import TrainingSession

log = logging.getLogger("trainbridge")

IN_PLACE = "epoch"
"""Lightning adds the epoch to what it logs; messages have it already."""


class Experiment:
    """A session that is made when it is used first, with all that is known by then."""

    def __init__(self, logger: "TrainbridgeLogger") -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the session."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._logger.now(), name)


class TrainbridgeLogger(*bases("loggers", "Logger")):  # type: ignore[misc]
    """Reports the numbers that a module logs, by name and split, under the steps that Lightning counts.

    With a TrainbridgeCallback beside it, both report to one session, and nothing twice. Alone it
    reports neither batches nor epochs, and obeys no commands.
    """

    def __init__(
        self,
        *,
        session: TrainingSession | None = None,
        save_dir: str | None = None,
        **options: Any,
    ) -> None:
        """Make nothing yet.

        Args:
            session: A session that was made already and is not closed here; None: one is made with the first number.
            save_dir: Where the Trainer keeps its checkpoints; None: in its default_root_dir.
            options: The arguments of TrainingSession, by name.

        Raises ValueError where both session and options are given.
        """
        super().__init__()
        self.owned = OwnedSession(session, options)
        self._save_dir = save_dir
        self._known: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The folder of checkpoints in save_dir."""
        return "trainbridge"

    @property
    def version(self) -> str:
        """The name of the session, once there is one."""
        session = self.owned.session
        return session.session_id if session is not None else "version_0"

    @property
    def save_dir(self) -> str | None:
        """Where the Trainer keeps its checkpoints."""
        return self._save_dir

    @property
    def experiment(self) -> "Experiment":
        """What the session does; Lightning asks for it before it knows the hyperparameters."""
        return Experiment(self)

    def now(self) -> TrainingSession:
        """Return the session; it is made if there is none."""
        return self.owned.begin(**self._known)

    def begin(self, known: Mapping[str, Any]) -> TrainingSession:
        """Return the session of a run of which the Trainer knows this."""
        return self.owned.begin(**{**known, **self._known})

    @guarded
    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace | None = None, *_: Any, **more: Any
    ) -> None:
        """Keep the configuration for the session, which registers with it."""
        given = vars(params) if isinstance(params, Namespace) else dict(params or {})
        self._known["config"] = {**self._known.get("config", {}), **given, **more}

    @guarded
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Report numbers under a step of Lightning's."""
        numbers = {name: value for name, value in metrics.items() if name != IN_PLACE}
        for split, values in by_split(numbers).items():
            self.now().log_scalars(values, split=split, step=step)

    @guarded
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Report that a checkpoint was saved, and which one is best."""
        session = self.owned.session
        if session is not None:
            best = str(getattr(checkpoint_callback, "best_model_path", "") or "")
            session.event("checkpoint", message=f"the best one is {best}" if best else "")

    def finalize(self, status: str) -> None:
        """End the run; where an exception is in flight, it has failed by that."""
        session = self.owned.session
        if session is not None and status != "success":
            self.owned.close_by_what_is_raised()
        else:
            self.owned.end()
