"""Lightning: a callback that reports each step of a Trainer and obeys commands."""

from collections.abc import Callable
from typing import Any

from bridge.client.encoding.isolation import let_through
from bridge.client.integrations import lightning_trainer
from bridge.client.integrations.lightning_bases import bases
from bridge.client.integrations.lightning_logger import TrainbridgeLogger
from bridge.client.integrations.metric_names import by_split, epoch_numbers, is_of_step, split_of
from bridge.client.integrations.owned_session import OwnedSession, guarded, leave_out
from bridge.client.integrations.pictures import NOTHING, Images, images_and_labels
from bridge.client.session import TrainingSession

VALIDATION = "validation"


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
        tokens: Callable[[Any, Any], int | None] | None = None,
        **options: Any,
    ) -> None:
        """Make nothing yet.

        Args:
            session: A session that was made already and is not closed here; None: one is made.
            images: Takes a batch and what training_step returned, and returns what log_batch takes as
                (images, predictions, ground_truth); None for a batch without. By default, the parts of a batch that
                is plainly (images, labels).
            tokens: Takes the same, and returns how many tokens the batch has; None: not reported.
            options: The arguments of TrainingSession, by name; what they do not say is taken from the Trainer.

        Raises ValueError where both session and options are given.
        """
        super().__init__()
        self.owned = OwnedSession(session, options)
        self._images = images
        self._tokens = tokens
        self._is_fitting = False
        self._rates: dict[str, Any] = {}
        """Of the step that is being made; afterwards a scheduler may have changed them."""
        self._reported_rates: dict[str, Any] = {}
        self._has_validated = False
        """In this epoch; Lightning keeps the numbers of the last validation until the next one."""
        self._has_new_validation = False
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
        known = lightning_trainer.known(trainer, pl_module)
        self._logger = loggers[0] if loggers else None
        if self._logger is None:
            session = self.owned.begin(**known)
        else:
            session = self.owned.join(self._logger.begin(known))
        self._reported_rates = {}
        self._has_validated = self._has_new_validation = False
        self._is_fitting = True
        self._control(trainer, session)

    @guarded
    def on_train_batch_start(
        self, trainer: Any, _pl_module: Any, _batch: Any, _batch_idx: int
    ) -> None:
        """Note the learning rates with which a step is made."""
        self.owned.end_phase()
        self._rates = lightning_trainer.rates(trainer)

    def on_train_batch_end(
        self, trainer: Any, _pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report a step, and obey: every rank has to, whatever it could report."""
        self._report_step(trainer, outputs, batch, batch_idx)
        self._obey(trainer)

    @guarded
    def on_validation_start(self, _trainer: Any, _pl_module: Any) -> None:
        """Note that the loop validates; before training begins, there is nobody to report it to."""
        self._enter_phase("validation")

    @guarded
    def on_validation_end(self, trainer: Any, _pl_module: Any) -> None:
        """Note that the loop trains again; what was found in the middle of an epoch is reported now."""
        self.owned.end_phase()
        session = self._session
        if session is None:
            return
        self._has_validated = self._has_new_validation = True
        if not trainer.is_last_batch:
            self._report_validation(trainer, session)

    @guarded
    def on_save_checkpoint(self, trainer: Any, _pl_module: Any, _checkpoint: Any) -> None:
        """Report a checkpoint; the loop is busy with it until it goes on."""
        session = self._session
        if session is None:
            return
        self._enter_phase("checkpoint")
        if self._logger is None:
            session.event(
                "checkpoint", f"epoch {trainer.current_epoch}, step {trainer.global_step}"
            )

    @guarded
    def on_train_epoch_end(self, trainer: Any, _pl_module: Any) -> None:
        """Report the epoch, with what was logged of it; one that was stopped in the middle has not ended."""
        session = self._session
        self.owned.end_phase()
        if session is None or (session.should_stop and not trainer.is_last_batch):
            return
        numbers, _ = epoch_numbers(
            self._metrics_of_epoch(trainer, is_validated=self._has_validated)
        )
        session.log_epoch(
            trainer.current_epoch,
            **{"loss": None, **numbers},
            learning_rate=self._rates.get("learning_rate"),
        )
        self._report_metrics(trainer, session, of_steps=False)
        self._has_validated = self._has_new_validation = False

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

    @property
    def _session(self) -> TrainingSession | None:
        return self.session if self._is_fitting else None

    def _end(self, error: BaseException | None) -> None:
        self._is_fitting = False
        self.owned.end(error)

    def _enter_phase(self, name: str) -> None:
        self.owned.end_phase()
        if self._is_fitting:
            self.owned.begin_phase(name)

    @guarded
    def _report_step(self, trainer: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        session = self._session
        if session is None:
            return
        images, predictions, truth = self._asked(self._images, batch, outputs) or NOTHING
        session.log_batch(
            lightning_trainer.loss(trainer, outputs),
            epoch=trainer.current_epoch,
            batch=batch_idx,
            step=lightning_trainer.step(trainer),
            tokens=self._asked(self._tokens, batch, outputs),
            images=images,
            predictions=predictions,
            ground_truth=truth,
        )
        self._report_rates(session)
        every = trainer.log_every_n_steps
        if every and (lightning_trainer.step(trainer) + 1) % every == 0:
            self._report_metrics(trainer, session, of_steps=True)

    @guarded
    def _obey(self, trainer: Any) -> None:
        session = self._session
        if session is not None and session.agree_to_stop():
            lightning_trainer.stop(trainer)

    def _asked(self, function: Callable[[Any, Any], Any] | None, batch: Any, outputs: Any) -> Any:
        """Return what a function of the user's says of a batch; where it raises, that alone is not reported."""
        try:
            return None if function is None else function(batch, outputs)
        except BaseException as error:  # noqa: BLE001 -- the user's function may raise anything
            let_through(error)
            leave_out(self.session, "images" if function is self._images else "tokens", error)
            return None

    def _report_rates(self, session: TrainingSession) -> None:
        """Report the learning rates that have changed; a tensor is not compared."""
        changed = {
            name: rate
            for name, rate in self._rates.items()
            if not isinstance(rate, float) or rate != self._reported_rates.get(name)
        }
        if changed:
            self._reported_rates |= changed
            session.log_scalars(changed)

    def _report_metrics(self, trainer: Any, session: TrainingSession, *, of_steps: bool) -> None:
        """Report what was logged by other names, each as often as it is logged."""
        if self._logger is not None:
            return
        metrics = self._metrics_of_epoch(trainer, is_validated=self._has_new_validation)
        _, others = epoch_numbers(metrics)
        chosen = {name: value for name, value in others.items() if is_of_step(name) is of_steps}
        for split, values in by_split(chosen).items():
            session.log_scalars(values, split=split, step=lightning_trainer.step(trainer))

    def _report_validation(self, trainer: Any, session: TrainingSession) -> None:
        """Report the numbers of a validation in the middle of an epoch, as scalars."""
        self._has_new_validation = False
        values = by_split(trainer.callback_metrics).get(VALIDATION)
        if values and self._logger is None:
            session.log_scalars(values, split=VALIDATION, step=lightning_trainer.step(trainer))

    def _metrics_of_epoch(self, trainer: Any, *, is_validated: bool) -> dict[str, Any]:
        """Return what was logged, without what an earlier validation has left behind."""
        return {
            name: value
            for name, value in trainer.callback_metrics.items()
            if is_validated or split_of(name)[0] != VALIDATION
        }

    def _control(self, trainer: Any, session: TrainingSession) -> None:
        schedulers = [each.scheduler for each in trainer.lr_scheduler_configs]
        session.controls(
            optimizer=list(trainer.optimizers) or None,
            scheduler=schedulers or None,
            checkpoint=lambda: self._save(trainer),
        )

    def _save(self, trainer: Any) -> str:
        name = lightning_trainer.save(trainer)
        self.owned.end_phase()
        return f"saved {name}"
