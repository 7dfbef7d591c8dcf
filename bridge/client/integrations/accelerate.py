"""Accelerate: a tracker for `Accelerator(log_with=...)`."""

from collections.abc import Mapping
from typing import Any

from accelerate.tracking import GeneralTracker

from bridge.client.integrations.metric_names import by_split, epoch_numbers
from bridge.client.integrations.owned_session import OwnedSession, guarded
from bridge.client.session import TrainingSession

LOSSES = ("loss", "train_loss", "train/loss")
"""Names under which a script logs the loss of a step."""


class TrainbridgeTracker(GeneralTracker):
    """Reports what a script logs through its Accelerator, and obeys commands where it asks `should_stop`.

    A script that logs its loss with a step has its steps reported; other numbers are reported by name and
    split. `finish`, which `accelerator.end_training` calls, ends the run; an exception before that fails it.
    """

    name = "trainbridge"
    requires_logging_directory = False
    main_process_only = False

    def __init__(self, *, session: TrainingSession | None = None, **options: Any) -> None:
        """Make nothing yet.

        Args:
            session: A session that was made already and is not closed here; None: one is made.
            options: The arguments of TrainingSession, by name; `config` comes from `init_trackers`.

        Raises ValueError where both session and options are given.
        """
        super().__init__()
        self.owned = OwnedSession(session, options)
        self._config: dict[str, Any] = {}

    @property
    def tracker(self) -> TrainingSession:
        """The session, as `accelerator.get_tracker("trainbridge", unwrap=True)` returns it; it is made if there is none."""
        return self.owned.begin(config=self._config or None)

    @property
    def session(self) -> TrainingSession:
        """The session; it is made if there is none."""
        return self.tracker

    @guarded
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Keep the configuration for the session, which registers with it."""
        self._config = dict(values)

    @guarded
    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Report numbers of a step; with a loss among them, it is a batch."""
        session = self.session
        loss = next((name for name in LOSSES if name in values), None)
        if loss is not None:
            session.log_batch(values[loss], step=step)
        others = {name: value for name, value in values.items() if name != loss}
        epoch = others.pop("epoch", None)
        if isinstance(epoch, int) and loss is None:
            numbers, others = epoch_numbers(others)
            session.log_epoch(epoch, **{"loss": None, **numbers})
        for split, named in by_split(others).items():
            session.log_scalars(named, split=split, step=step)

    @guarded
    def log_images(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Report images as those of a batch without a loss, under one name after the other."""
        for images in values.values():
            self.session.log_batch(None, step=step, images=images)

    def finish(self) -> None:
        """End the run."""
        self.owned.end()
