"""Reports an ordinary loop of PyTorch by its model, its criterion and its optimizer."""

from typing import Any
from weakref import WeakKeyDictionary, ref

import torch

from bridge.client.integrations.owned_session import OwnedSession, guarded
from bridge.client.integrations.pictures import NOTHING, Images, images_and_labels
from bridge.client.session import TrainingSession

_watched: "WeakKeyDictionary[Any, ref[Watcher]]" = WeakKeyDictionary()
"""By optimizer: one that is watched anew, as in a notebook, is not watched twice.

Its hooks keep a watcher alive, whose session knows the optimizer: kept here, it would never be freed.
"""


def watch(
    model: torch.nn.Module,
    criterion: torch.nn.Module | None,
    optimizer: torch.optim.Optimizer,
    *,
    scheduler: Any = None,
    images: Images | None = None,
    session: TrainingSession | None = None,
    **options: Any,
) -> TrainingSession:
    """Report each step of the optimizer from now on, and return the session.

    Args:
        model: Its input while it trains are the images of the step, if they are plainly images.
        criterion: A module that takes predictions and labels and returns the loss; None: no loss is reported.
        optimizer: Each of its steps is one of the run; its learning rate changes on command.
        scheduler: The learning rate scheduler of that optimizer, or several.
        images: Takes (input, labels) and the predictions; returns images, predictions and ground truth, or None.
        session: One to report to. Else one is made, which ends with the program, or when it is closed.
        options: The arguments of TrainingSession.
    """
    owned = OwnedSession(session, options)
    made = owned.begin(model=type(_unwrapped(model)).__name__)
    made.controls(optimizer=optimizer, scheduler=scheduler)
    watcher = _watched.pop(optimizer, lambda: None)()
    if watcher is not None:
        watcher.leave()
    _watched[optimizer] = ref(Watcher(owned, made, images, model, criterion, optimizer))
    return made


class Watcher:
    """Hears of each forward pass and each step, and keeps what belongs to the step that comes."""

    def __init__(
        self,
        owned: OwnedSession,
        session: TrainingSession,
        images: Images | None,
        model: torch.nn.Module,
        criterion: torch.nn.Module | None,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.owned = owned
        self._session = session
        self._images = images or _plain
        self._clear()
        self._handles = [
            model.register_forward_pre_hook(self._forward),
            optimizer.register_step_post_hook(self._step),
        ]
        if criterion is not None:
            self._handles.append(criterion.register_forward_hook(self._compared))

    def leave(self) -> None:
        """Hear of nothing any more."""
        for handle in self._handles:
            handle.remove()
        self._clear()

    def _clear(self) -> None:
        self._input = self._loss = self._predicted = self._labels = None

    @guarded
    def _forward(self, model: torch.nn.Module, given: tuple[Any, ...]) -> None:
        if model.training and torch.is_grad_enabled():
            self._input = given[0] if given else None

    @guarded
    def _compared(self, _criterion: torch.nn.Module, given: tuple[Any, ...], loss: Any) -> None:
        if torch.is_grad_enabled():
            self._predicted, self._labels = (*given, None, None)[:2]
            self._loss = loss.detach()

    @guarded
    def _step(self, _optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        loss, predicted = self._loss, self._predicted
        batch = (self._input, self._labels)
        self._clear()
        if isinstance(predicted, torch.Tensor):
            predicted = predicted.detach()
        images, predictions, labels = self._images(batch, predicted) or NOTHING
        self._session.log_batch(loss, images=images, predictions=predictions, ground_truth=labels)
        if not self._session._rank.is_together:
            self._session.wait_while_paused()


def _plain(batch: Any, predicted: Any) -> tuple[Any, Any, Any]:
    return images_and_labels(batch, {"logits": predicted})


def _unwrapped(model: Any) -> Any:
    """Return the model that DistributedDataParallel or torch.compile has wrapped."""
    for name in ("_orig_mod", "module"):
        model = getattr(model, name, model)
    return model
