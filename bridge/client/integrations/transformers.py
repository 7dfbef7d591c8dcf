"""Transformers: a callback that reports each step of a Trainer and obeys commands."""

import math
from dataclasses import MISSING, fields
from typing import Any

from transformers import Trainer, TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from bridge.client.compat.named_values import named_values
from bridge.client.encoding.isolation import let_through
from bridge.client.integrations.forward_watch import ForwardWatch, pictures_of
from bridge.client.integrations.metric_names import by_split, epoch_numbers
from bridge.client.integrations.owned_session import OwnedSession, guarded, readable, reports_errors
from bridge.client.integrations.pictures import Images
from bridge.client.session import TrainingSession

NAME = "trainbridge"
"""What `report_to` may say once this module is imported."""

NO_NUMBERS = ("epoch", "total_flos", "step")
"""What logs say besides what was measured."""

FINAL = "train_"
"""How the summary begins that is logged once training is over."""


class TrainbridgeCallback(TrainerCallback):
    """Reports what a Trainer does while it trains, and obeys pause, stop, learning rate and checkpoint.

    The session is made as training begins, on every rank, and ended as it ends: with the exception that
    ended it, too. Evaluation and prediction alone are not reported.
    """

    def __init__(
        self,
        *,
        session: TrainingSession | None = None,
        images: Images = pictures_of,
        **options: Any,
    ) -> None:
        """Make nothing yet.

        Args:
            session: A session that was made already and is not closed here; None: one is made.
            images: Takes the arguments of the model by name and what it returned, and returns what log_batch
                takes as (images, predictions, ground_truth); None for a batch without. By default, pixel_values
                with the classes in labels.
            options: The arguments of TrainingSession, by name; what they do not say is taken from the Trainer.

        Raises ValueError where both session and options are given.
        """
        super().__init__()
        self.owned = OwnedSession(session, options)
        self._forward = ForwardWatch(images, self.owned.leave_out_images)
        self._epoch = self._batch = 0
        self._rate: Any = None
        self._ended_epoch: int | None = None
        """An epoch that is over, and is reported once its evaluation is."""
        self._metrics: dict[str, Any] = {}
        """Of the last evaluation in this epoch."""
        self._saves = False

    @property
    def session(self) -> TrainingSession | None:
        """The session of the run; None before training begins, and after it has ended."""
        return self.owned.session

    def on_train_begin(
        self, args: Any, state: Any, _control: Any, model: Any = None, **parts: Any
    ) -> None:
        """Begin the run; raises as TrainingSession does."""
        self.owned.begin(**_known(args, state, model, parts.get("train_dataloader")))
        self._ended_epoch, self._metrics = None, {}
        self._attach(args, model, parts)

    @guarded
    def on_epoch_begin(self, args: Any, state: Any, _control: Any, **parts: Any) -> None:
        """Report the epoch before, whose evaluation has come, and count steps anew."""
        self._report_epoch()
        self._epoch = math.floor(state.epoch or 0)
        steps = _steps_per_epoch(args, parts.get("train_dataloader"))
        self._batch = state.global_step % steps if steps else 0
        self._forward.begin_epoch()

    @guarded
    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **parts: Any) -> None:
        """Note the learning rate with which a step is made."""
        groups = getattr(parts.get("optimizer"), "param_groups", None)
        self._rate = groups[0]["lr"] if groups else None
        self._forward.begin_step()

    def on_step_end(self, _args: Any, state: Any, control: Any, **_parts: Any) -> None:
        """Report a step, and obey: every rank has to, whatever it could report."""
        self._report_step(state)
        self._obey(control)

    @guarded
    def _report_step(self, state: Any) -> None:
        session, batch = self.session, self._batch
        self._batch += 1
        if session is None:
            return
        step = self._forward.end_step()
        session.log_batch(
            step.loss,
            epoch=self._epoch,
            batch=batch,
            step=state.global_step - 1,
            tokens=step.tokens,
            images=step.images,
            predictions=step.predictions,
            ground_truth=step.ground_truth,
        )

    @guarded
    def _obey(self, control: Any) -> None:
        session = self.session
        if session is not None and session.agree_to_stop():
            control.should_training_stop = True
        if self._saves:
            self._saves, control.should_save = False, True

    @guarded
    def on_log(
        self, _args: Any, state: Any, _control: Any, logs: Any = None, **_parts: Any
    ) -> None:
        """Report what was logged by name, by split; the loss of a step is reported with the step."""
        session = self.session
        if session is None or not logs:
            return
        numbers = {name: value for name, value in logs.items() if _is_reported(name, value)}
        if self._forward.has_losses:
            numbers.pop("loss", None)
        for split, values in by_split(numbers).items():
            session.log_scalars(values, split=split, step=max(0, state.global_step - 1))

    @guarded
    def on_prediction_step(self, _args: Any, _state: Any, _control: Any, **_parts: Any) -> None:
        """Note that the loop evaluates."""
        self.owned.begin_validation()

    @guarded
    def on_evaluate(
        self, _args: Any, _state: Any, _control: Any, metrics: Any = None, **_parts: Any
    ) -> None:
        """Note that the loop trains again, and what the epoch is reported with."""
        self.owned.end_validation()
        self._metrics = dict(metrics or {})

    @guarded
    def on_predict(self, _args: Any, _state: Any, _control: Any, *_: Any, **_parts: Any) -> None:
        """Note that the loop trains again."""
        self.owned.end_validation()

    @guarded
    def on_save(self, _args: Any, state: Any, _control: Any, **_parts: Any) -> None:
        """Report that a checkpoint was saved."""
        session = self.session
        if session is not None:
            session.event("checkpoint", message=f"checkpoint-{state.global_step}")

    @guarded
    def on_epoch_end(self, args: Any, _state: Any, _control: Any, **parts: Any) -> None:
        """Keep the epoch until its evaluation has come; one that was left in the middle has not ended."""
        steps = _steps_per_epoch(args, parts.get("train_dataloader"))
        if steps is None or self._batch >= steps:
            self._ended_epoch = self._epoch

    @guarded
    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_parts: Any) -> None:
        """End the run."""
        self._report_epoch()
        self.end(None)

    def end(self, error: BaseException | None) -> None:
        """End the run: it has completed, or failed by `error`."""
        self._forward.leave()
        self.owned.end(error)

    def _report_epoch(self) -> None:
        session, epoch = self.session, self._ended_epoch
        self._ended_epoch = None
        if session is None or epoch is None:
            return
        numbers, _ = epoch_numbers(self._metrics)
        self._metrics = {}
        numbers["loss"] = self._forward.epoch_loss
        session.log_epoch(epoch, **numbers, learning_rate=self._rate)

    @guarded
    def _attach(self, args: Any, model: Any, parts: dict[str, Any]) -> None:
        """Look at the model, and obey; what cannot be had of that keeps nobody from training."""
        session = self.session
        if session is not None:
            self._control(session, parts)
        self._forward.watch(model, can_hook=not getattr(args, "torch_compile", False))

    def _control(self, session: TrainingSession, parts: dict[str, Any]) -> None:
        optimizer, scheduler = parts.get("optimizer"), parts.get("lr_scheduler")
        session.controls(
            optimizer=getattr(optimizer, "optimizer", optimizer),
            scheduler=getattr(scheduler, "scheduler", scheduler),
            checkpoint=self._save,
        )

    def _save(self) -> str:
        self._saves = True
        return "saved at the end of this step"


INTEGRATION_TO_CALLBACK[NAME] = TrainbridgeCallback


def _callbacks_of(trainer: Trainer, *_args: Any, **_kwargs: Any) -> list[Any]:
    """Return the callbacks of a Trainer."""
    return list(trainer.callback_handler.callbacks)


Trainer.train = reports_errors(Trainer.train, _callbacks_of, TrainbridgeCallback)


def _known(args: Any, state: Any, model: Any, loader: Any) -> dict[str, Any]:
    """Return what a Trainer says about a run."""
    return readable(
        model=lambda: type(model).__name__,
        epochs=lambda: math.ceil(args.num_train_epochs) if args.max_steps <= 0 else None,
        steps=lambda: state.max_steps if state.max_steps > 0 else None,
        batches_per_epoch=lambda: _steps_per_epoch(args, loader),
        batch_size=lambda: args.train_batch_size * args.gradient_accumulation_steps,
        config=lambda: _config(args, model, state),
        resume_step=lambda: state.global_step or None,
    )


def _config(args: Any, model: Any, state: Any) -> dict[str, Any]:
    """Return what differs from the defaults, of the arguments and of the model."""
    parts = readable(arguments=lambda: _changed(args), model=lambda: _about(model))
    trial = {"trial": state.trial_params} if getattr(state, "trial_params", None) else {}
    return {**parts.get("arguments", {}), "model": parts.get("model", {}), **trial}


def _changed(args: Any) -> dict[str, Any]:
    defaults = {each.name: each.default for each in fields(args) if each.default is not MISSING}
    given = args.to_sanitized_dict()
    return {name: v for name, v in given.items() if name in defaults and v != defaults[name]}


def _about(model: Any) -> dict[str, Any]:
    """Return the configuration of a model: one of Transformers without its defaults, else all of it."""
    config = getattr(model, "config", None)
    differs = getattr(config, "to_diff_dict", None)
    return dict(differs()) if differs is not None else named_values(config)


def _steps_per_epoch(args: Any, loader: Any) -> int | None:
    """Return how many optimizer steps an epoch has; None: its length is not known."""
    try:
        batches = len(loader)
    except Exception as error:  # noqa: BLE001 -- a loader without a length raises whatever it likes
        let_through(error)
        return None
    return max(1, math.ceil(batches / int(args.gradient_accumulation_steps)))


def _is_reported(name: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and name not in NO_NUMBERS and not name.startswith(FINAL)
