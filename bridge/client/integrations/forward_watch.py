"""What the calls of a model show of a step: its loss, its tokens and its images."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bridge.client.encoding.isolation import let_through
from bridge.client.integrations.pictures import NOTHING, Images, is_whole


class Step(NamedTuple):
    """What was seen of one step; None: nothing."""

    loss: Any
    tokens: int | None
    images: Any
    predictions: Any
    ground_truth: Any


def pictures_of(inputs: Mapping[str, Any], outputs: Any) -> tuple[Any, Any, Any]:
    """Return images, predictions and classes of a model of images; nothing where there are no pixel_values."""
    pixels, labels = inputs.get("pixel_values"), inputs.get("labels")
    if pixels is None or len(getattr(pixels, "shape", ())) != 4:
        return NOTHING
    if len(getattr(labels, "shape", ())) != 1 or not is_whole(labels):
        return pixels, None, None
    logits = getattr(outputs, "logits", None)
    return pixels, logits if len(getattr(logits, "shape", ())) == 2 else None, labels


class ForwardWatch:
    """Hooks a model, and adds up what its calls between two steps return; waits for no device.

    A model that is compiled is not hooked: that would change what is compiled.
    """

    def __init__(self, images: Images, on_error: Callable[[BaseException], None]) -> None:
        """Watch nothing yet; `on_error` takes what cannot be read, and what `images` raises."""
        self._images = images
        self._on_error = on_error
        self._hook: Any = None
        self.has_losses = False
        """A step has had a loss."""
        self._losses: list[Any] = []
        self._is_sum = False
        self._tokens = 0
        self._pictures: tuple[Any, Any, Any] = NOTHING
        self._epoch_sum: Any = None
        self._epoch_steps = 0

    def watch(self, model: Any, *, can_hook: bool) -> None:
        """Begin with a model."""
        self.leave()
        self.has_losses = False
        if can_hook and hasattr(model, "register_forward_hook"):
            self._hook = model.register_forward_hook(self._see, with_kwargs=True)

    def leave(self) -> None:
        """Watch no longer."""
        hook, self._hook = self._hook, None
        if hook is not None:
            hook.remove()
        self.begin_step()

    def begin_epoch(self) -> None:
        """Begin to add up the losses of an epoch."""
        self._epoch_sum, self._epoch_steps = None, 0

    def begin_step(self) -> None:
        """Forget what was seen before."""
        self._losses, self._tokens, self._pictures = [], 0, NOTHING

    def end_step(self) -> Step:
        """Return what was seen since the step began: the loss over all batches that it accumulates."""
        loss = _total(self._losses, is_sum=self._is_sum)
        if loss is not None:
            self.has_losses = True
            self._epoch_sum = loss if self._epoch_sum is None else self._epoch_sum + loss
            self._epoch_steps += 1
        return Step(loss, self._tokens or None, *self._pictures)

    @property
    def epoch_loss(self) -> Any:
        """The mean over the steps of the epoch; None: there was no loss."""
        return None if self._epoch_sum is None else self._epoch_sum / self._epoch_steps

    def _see(self, model: Any, _args: Any, inputs: dict[str, Any], outputs: Any) -> None:
        """Take note of one call; never raises into the model."""
        if not model.training:
            return
        try:
            self._take(inputs, outputs)
        except BaseException as error:  # noqa: BLE001 -- a model's objects may be anything
            let_through(error)
            self._on_error(error)

    def _take(self, inputs: dict[str, Any], outputs: Any) -> None:
        loss = getattr(outputs, "loss", None)
        if loss is not None:
            self._losses.append(loss.detach().mean())
            self._is_sum = inputs.get("num_items_in_batch") is not None
        ids = inputs.get("input_ids")
        self._tokens += int(ids.numel()) if ids is not None else 0
        self._pictures = self._images(inputs, outputs) or NOTHING


def _total(losses: list[Any], *, is_sum: bool) -> Any:
    """Return the loss of a step; a model that is given the number of items in the step returns its share."""
    if not losses:
        return None
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total if is_sum or len(losses) == 1 else total / len(losses)
