"""What a Trainer of Lightning knows about a run, and what it is asked to do."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.client.integrations.owned_session import readable


def known(trainer: Any, module: Any) -> dict[str, Any]:
    """Return what a Trainer says about a run."""
    found = readable(
        length=lambda: _length(trainer),
        model=lambda: type(module).__name__,
        batch_size=lambda: _batch_size(trainer.train_dataloader),
        config=lambda: dict(module.hparams) or None,
        resume_from=lambda: _resumed(trainer),
    )
    return {**found.pop("length", {}), **found}


def _batch_size(loader: Any) -> int | None:
    size = getattr(loader, "batch_size", None)
    return size if isinstance(size, int) else None


def _length(trainer: Any) -> dict[str, int | None]:
    """Return how many epochs and batches a run has, as far as it can be known; max_steps may end it before max_epochs."""
    batches, epochs, steps = trainer.num_training_batches, trainer.max_epochs or 0, _steps(trainer)
    if not math.isfinite(batches):
        if epochs <= 0 and steps is not None:
            return {"steps": steps}
        return {"epochs": epochs if epochs > 0 else None}
    if steps is not None and batches > 0:
        steps_per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
        of_steps = math.ceil(steps / steps_per_epoch)
        epochs = of_steps if epochs <= 0 else min(epochs, of_steps)
        if epochs == 1:
            batches = min(batches, steps * trainer.accumulate_grad_batches)
    return {"epochs": epochs if epochs > 0 else None, "batches_per_epoch": int(batches)}


def _steps(trainer: Any) -> int | None:
    """Return the steps after which a run ends; a module that steps by itself may take several in one batch."""
    is_known = trainer.max_steps > 0 and trainer.lightning_module.automatic_optimization
    return int(trainer.max_steps) if is_known else None


def _resumed(trainer: Any) -> tuple[int, int] | None:
    """Return the first epoch and batch of a run that goes on from a checkpoint."""
    loop, batch = trainer.fit_loop.epoch_loop, 0
    if loop.restarting:
        # Newer versions count a batch after which a checkpoint was saved as complete when they restart.
        saved_after_batch = getattr(loop, "restarted_on_train_batch_end", False)
        batch = loop.batch_progress.current.completed + int(saved_after_batch)
    if batch >= trainer.num_training_batches:
        batch = 0
    point = (trainer.current_epoch, batch)
    return None if point == (0, 0) else point


def loss(trainer: Any, outputs: Any) -> Any:
    """Return the loss of a step as training_step returned it: Lightning divides it by the batches it accumulates."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if loss is None or not trainer.lightning_module.automatic_optimization:
        return loss
    count = trainer.accumulate_grad_batches
    return loss if count == 1 else loss * count


def step(trainer: Any) -> int:
    """Return the step by which Lightning's loggers count: batches after which an optimizer has stepped."""
    return int(trainer.fit_loop.epoch_loop._batches_that_stepped)


def rates(trainer: Any) -> dict[str, Any]:
    """Return the learning rate of each optimizer, which is that of its first group."""
    groups = [optimizer.param_groups for optimizer in trainer.optimizers]
    return {
        "learning_rate" if index == 1 else f"learning_rate_{index}": group[0]["lr"]
        for index, group in enumerate(groups, start=1)
        if group
    }


def stop(trainer: Any) -> None:
    """Stop after this batch, whatever the least number of epochs or steps is: a person has said so."""
    trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
    trainer.should_stop = True


def save(trainer: Any) -> str:
    """Save a checkpoint where the Trainer keeps its own; every rank has to."""
    keeper = trainer.checkpoint_callback
    folder = (keeper.dirpath if keeper is not None else None) or trainer.default_root_dir
    name = f"commanded-epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
    trainer.save_checkpoint(Path(folder) / name)
    return name
