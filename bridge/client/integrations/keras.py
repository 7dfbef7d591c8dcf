"""Keras 3: a callback that reports each batch of `fit` and obeys commands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from bridge.client.integrations.keras_loss import BatchLoss
from bridge.client.integrations.keras_watch import LossWatch
from bridge.client.integrations.metric_names import by_split, epoch_numbers
from bridge.client.integrations.owned_session import OwnedSession, guarded, readable, reports_errors
from bridge.client.integrations.pictures import Images, images_and_labels
from bridge.client.session import TrainingSession


class TrainbridgeCallback(keras.callbacks.Callback):
    """Reports what `fit` does, and obeys pause, stop, learning rate and checkpoint.

    The session is made as training begins, and ended as it ends: with the exception that ended it, too.
    `evaluate` and `predict` alone are not reported.
    """

    def __init__(
        self,
        *,
        session: TrainingSession | None = None,
        images: Images = images_and_labels,
        checkpoint_dir: str | None = None,
        **options: Any,
    ) -> None:
        """Make nothing yet.

        Args:
            session: A session that was made already and is not closed here; None: one is made.
            images: Takes a batch (x, y) and what the model returned for it, and returns what log_batch takes as
                (images, predictions, ground_truth); None for a batch without. By default, the parts of a batch that
                is plainly (images, labels). With the backend torch alone.
            checkpoint_dir: Where a commanded checkpoint is saved; None: such commands are refused.
            options: The arguments of TrainingSession, by name; what they do not say is taken from the model.

        Raises ValueError where both session and options are given.
        """
        super().__init__()
        self.owned = OwnedSession(session, options)
        self._losses = BatchLoss()
        self._watch = LossWatch(images, self.owned.leave_out_images)
        self._checkpoint_dir = checkpoint_dir
        self._epoch = self._batch = 0
        self._first_step: int | None = None
        """Of the epoch; None before the first one."""

    @property
    def session(self) -> TrainingSession | None:
        """The session of the run; None before training begins, and after it has ended."""
        return self.owned.session

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 -- the name is Keras's
        """Begin the run; raises as TrainingSession does."""
        session = self.owned.begin(**_known(self.model, self.params))
        self._first_step = None
        session.controls(
            lr=lambda rate: _change_rate(self.model, rate),
            checkpoint=self._save if self._checkpoint_dir is not None else None,
        )
        self._look()

    @guarded
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Begin to count batches anew."""
        if self._first_step is None:  # one that goes on does not say how many steps came before
            self._first_step = epoch * (self.params.get("steps") or 0)
        else:
            self._first_step += self._losses.batches
        self._epoch = epoch
        self._losses.begin_epoch()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Report a batch, or the last of several that were one execution, and obey: every rank has to."""
        self._report_batch(batch, logs)
        self._obey()

    @guarded
    def _look(self) -> None:
        self._watch.begin(self.model)

    @guarded
    def _report_batch(self, batch: int, logs: Any) -> None:
        session = self.session
        if session is None:
            return
        images, predictions, truth = self._watch.take()
        steps = self.params.get("steps")
        self._batch = batch = _last_of(self.model, batch, steps)
        session.log_batch(
            self._losses.own(self.model, batch, steps, logs or {}),
            epoch=self._epoch,
            batch=batch,
            step=(self._first_step or 0) + batch,
            images=images,
            predictions=predictions,
            ground_truth=truth,
        )

    @guarded
    def _obey(self) -> None:
        session = self.session
        if session is not None and session.agree_to_stop():
            self.model.stop_training = True

    @guarded
    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Note that the loop validates."""
        self.owned.begin_validation()

    @guarded
    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Note that the loop trains again."""
        self.owned.end_validation()

    @guarded
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report the epoch, with its means; one that was stopped in the middle has not ended."""
        session, steps = self.session, self.params.get("steps")
        if session is None or (session.should_stop and self._losses.batches != steps):
            return
        numbers, others = epoch_numbers(logs or {})
        others.pop("learning_rate", None)
        session.log_epoch(epoch, **{"loss": None, **numbers}, learning_rate=_rate(self.model))
        for split, values in by_split(others).items():
            session.log_scalars(values, split=split)

    @guarded
    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """End the run."""
        self.end(None)

    def end(self, error: BaseException | None) -> None:
        """End the run: it has completed, or failed by `error`."""
        self._look_away()
        self.owned.end(error)

    @guarded
    def _look_away(self) -> None:
        self._watch.end()

    def _save(self) -> str:
        _sync(self.model)
        name = f"commanded-epoch={self._epoch}-batch={self._batch}.keras"
        folder = Path(self._checkpoint_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder / name)
        return f"saved {name}"


def _callbacks_of(_model: Any, *args: Any, **kwargs: Any) -> list[Any]:
    """Return the callbacks that `fit` was given, by name or as its sixth argument."""
    given = kwargs.get("callbacks", args[5] if len(args) > 5 else ())
    listed = getattr(given, "callbacks", given) or ()
    return list(listed) if isinstance(listed, list | tuple) else [listed]


keras.Model.fit = reports_errors(keras.Model.fit, _callbacks_of, TrainbridgeCallback)


def _known(model: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Keras says about a run."""
    return readable(
        model=lambda: model.name or type(model).__name__,
        epochs=lambda: params.get("epochs"),
        batches_per_epoch=lambda: params.get("steps"),
        config=lambda: {"optimizer": _about(model.optimizer)},
    )


def _about(optimizer: Any) -> Any:
    """Return the configuration of an optimizer; a schedule of the program's own need not have one: then the name."""
    try:
        return optimizer.get_config()
    except NotImplementedError:
        return type(optimizer).__name__


def _last_of(model: Any, batch: int, steps: int | None) -> int:
    """Return the last batch of an execution, which older versions name by its first, and newer ones beyond the end."""
    several = getattr(model, "steps_per_execution", 1)
    if several > 1 and batch % several == 0:
        batch += several - 1
    return batch if steps is None else min(batch, steps - 1)


def _rate(model: Any) -> float:
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _change_rate(model: Any, rate: float) -> bool | str:
    """Change the learning rate; a schedule would undo it at the next batch."""
    optimizer = model.optimizer
    if isinstance(
        getattr(optimizer, "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule
    ):
        raise ValueError(
            "the learning rate follows a LearningRateSchedule, which would undo it; compile with a number to"
            " have it changed"
        )
    _sync(model)
    before = _rate(model)
    optimizer.learning_rate = rate
    return f"from {before:g} to {rate:g}"


def _sync(model: Any) -> None:
    """Have the variables of a model be those of the step: with JAX they lie elsewhere while it trains."""
    sync = getattr(model, "jax_state_sync", None)
    if sync is not None:
        sync()
