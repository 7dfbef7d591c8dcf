"""Lightning: a callback that reports each step of a Trainer and obeys commands."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.client.integrations.lightning_bases import bases
from bridge.client.integrations.lightning_logger import TrainbridgeLogger
from bridge.client.integrations.metric_names import by_split, epoch_numbers, is_of_step
from bridge.client.integrations.owned_session import OwnedSession, guarded
from bridge.client.integrations.pictures import NOTHING, Images, images_and_labels
from bridge.client.session import TrainingSession


class TrainbridgeCallback(*bases("callbacks", "Callback")):  # type: ignore[misc]
    """Reports what a Trainer does while it fits, and obeys pause, stop, learning rate and checkpoint.

    The session is made as training begins, on every rank, and ended as it ends: with the exception that
    ended it, too. What a run of `fast_dev_run` does is not reported, nor are validate, test and predict alone.
    """

    def __init__(
        self,
        *,
        session: TrainingSession | None = None,
        images: Images = images_and_labels,
        **options: Any,
    ) -> None:
        """Make nothing yet.

        Args:
            session: A session that was made already and is not closed here; None: one is made.
            images: Takes a batch and what training_step returned, and returns what log_batch takes as
                (images, predictions, ground_truth); None for a batch without. By default, the parts of a batch that
                is plainly (images, labels).
            options: The arguments of TrainingSession, by name; what they do not say is taken from the Trainer.

        Raises ValueError where both session and options are given.
        """
        super().__init__()
        self.owned = OwnedSession(session, options)
        self._images = images
        self._rate: Any = None
        """Of the step that is being made; afterwards a scheduler may have changed it."""
        self._reported_rate: Any = None
        self._logger: TrainbridgeLogger | None = None
        """It reports what was logged by name, where there is one."""

    @property
    def session(self) -> TrainingSession | None:
        """The session of the run; None before training begins, and after it has ended."""
        return self.owned.session

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the run, in the process that trains; raises as TrainingSession does."""
        if trainer.fast_dev_run:
            return
        loggers = [each for each in trainer.loggers if isinstance(each, TrainbridgeLogger)]
        known = _known(trainer, pl_module)
        self._logger = loggers[0] if loggers else None
        if self._logger is None:
            session = self.owned.begin(**known)
        else:
            session = self.owned.join(self._logger.begin(known))
        self._reported_rate = None
        self._control(trainer, session)

    @guarded
    def on_train_batch_start(
        self, trainer: Any, _pl_module: Any, _batch: Any, _batch_idx: int
    ) -> None:
        """Note the learning rate with which a step is made."""
        self._rate = _rate(trainer)

    @guarded
    def on_train_batch_end(
        self, trainer: Any, _pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report a step, and obey."""
        session = self.session
        if session is None:
            return
        images, predictions, truth = self._images(batch, outputs) or NOTHING
        session.log_batch(
            _loss(trainer, outputs),
            epoch=trainer.current_epoch,
            batch=batch_idx,
            step=_step(trainer),
            images=images,
            predictions=predictions,
            ground_truth=truth,
        )
        self._report_rate(session)
        if (_step(trainer) + 1) % trainer.log_every_n_steps == 0:
            self._report_metrics(trainer, session, of_steps=True)
        if session.agree_to_stop():
            _stop(trainer)

    @guarded
    def on_validation_start(self, _trainer: Any, _pl_module: Any) -> None:
        """Note that the loop validates; before training begins, there is nobody to report it to."""
        self.owned.begin_validation()

    @guarded
    def on_validation_end(self, _trainer: Any, _pl_module: Any) -> None:
        """Note that the loop trains again."""
        self.owned.end_validation()

    @guarded
    def on_train_epoch_end(self, trainer: Any, _pl_module: Any) -> None:
        """Report the epoch, with what was logged of it; one that was stopped in the middle has not ended."""
        session = self.session
        if session is None or (session.should_stop and not trainer.is_last_batch):
            return
        numbers, _ = epoch_numbers(trainer.callback_metrics)
        session.log_epoch(
            trainer.current_epoch, **{"loss": None, **numbers}, learning_rate=self._rate
        )
        self._report_metrics(trainer, session, of_steps=False)

    def on_exception(self, _trainer: Any, _pl_module: Any, exception: BaseException) -> None:
        """End the run as failed, or as interrupted by a person."""
        self._end(exception)

    def on_train_end(self, _trainer: Any, _pl_module: Any) -> None:
        """End the run."""
        self._end(None)

    def teardown(self, _trainer: Any, _pl_module: Any, stage: str) -> None:
        """End a run that has come to no end of its own."""
        if stage == "fit":
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        self.owned.end(error)

    def _report_rate(self, session: TrainingSession) -> None:
        """Report the learning rate of the first optimizer where it has changed; a tensor is not compared."""
        rate = self._rate
        if rate is not None and (not isinstance(rate, float) or rate != self._reported_rate):
            self._reported_rate = rate
            session.log_scalars({"learning_rate": rate})

    def _report_metrics(self, trainer: Any, session: TrainingSession, *, of_steps: bool) -> None:
        """Report what was logged by other names, each as often as it is logged."""
        if self._logger is not None:
            return
        _, others = epoch_numbers(trainer.callback_metrics)
        chosen = {name: value for name, value in others.items() if is_of_step(name) is of_steps}
        for split, values in by_split(chosen).items():
            session.log_scalars(values, split=split, step=_step(trainer))

    def _control(self, trainer: Any, session: TrainingSession) -> None:
        schedulers = [each.scheduler for each in trainer.lr_scheduler_configs]
        session.controls(
            optimizer=list(trainer.optimizers) or None,
            scheduler=schedulers or None,
            checkpoint=lambda: _save(trainer),
        )


def _known(trainer: Any, module: Any) -> dict[str, Any]:
    """Return what a Trainer says about a run."""
    batches, resumed = (
        trainer.num_training_batches,
        trainer.fit_loop.epoch_progress.current.completed,
    )
    batch_size = getattr(trainer.train_dataloader, "batch_size", None)
    return {
        "model": type(module).__name__,
        "epochs": trainer.max_epochs if (trainer.max_epochs or 0) > 0 else None,
        "steps": trainer.max_steps if trainer.max_steps > 0 else None,
        "batches_per_epoch": int(batches) if math.isfinite(batches) else None,
        "batch_size": batch_size if isinstance(batch_size, int) else None,
        "config": dict(module.hparams) or None,
        "resume_from": (resumed, 0) if resumed else None,
    }


def _loss(trainer: Any, outputs: Any) -> Any:
    """Return the loss of a step as training_step returned it: Lightning divides it by the batches it accumulates."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if loss is None or not trainer.lightning_module.automatic_optimization:
        return loss
    count = trainer.accumulate_grad_batches
    return loss if count == 1 else loss * count


def _step(trainer: Any) -> int:
    """Return the step by which Lightning's loggers count: batches after which an optimizer has stepped."""
    return int(trainer.fit_loop.epoch_loop._batches_that_stepped)


def _rate(trainer: Any) -> Any:
    groups = trainer.optimizers[0].param_groups if trainer.optimizers else ()
    return groups[0]["lr"] if groups else None


def _stop(trainer: Any) -> None:
    """Stop after this batch, whatever the least number of epochs or steps is: a person has said so."""
    trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
    trainer.should_stop = True


def _save(trainer: Any) -> str:
    """Save a checkpoint where the Trainer keeps its own; every rank has to."""
    keeper = trainer.checkpoint_callback
    folder = (keeper.dirpath if keeper is not None else None) or trainer.default_root_dir
    name = f"commanded-epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
    trainer.save_checkpoint(Path(folder) / name)
    return f"saved {name}"
