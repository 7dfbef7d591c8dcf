"""The batches that a model of Keras is trained with, as far as they can be seen."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from bridge.client.encoding.isolation import let_through
from bridge.client.integrations.pictures import NOTHING, Images


class LossWatch:
    """Looks at what a model computes its loss from, with the backend torch; waits for no device.

    What is compiled, as with JAX always, shows no values and is left alone.
    """

    def __init__(self, images: Images, on_error: Callable[[BaseException], None]) -> None:
        """Watch nothing yet; `on_error` takes what `images` raises."""
        self._images = images
        self._on_error = on_error
        self._model: Any = None
        self._pictures: tuple[Any, Any, Any] = NOTHING

    def begin(self, model: Any) -> None:
        """Watch a model until `end`."""
        self.end()
        if keras.backend.backend() != "torch" or model.jit_compile:
            return
        compute_loss = model.compute_loss

        @functools.wraps(compute_loss)
        def watched(
            x: Any = None, y: Any = None, y_pred: Any = None, *more: Any, **named: Any
        ) -> Any:
            if named.get("training", True):
                self._take(x, y, y_pred)
            return compute_loss(x, y, y_pred, *more, **named)

        model.compute_loss = watched
        self._model = model

    def end(self) -> None:
        """Leave the model as it was."""
        model, self._model = self._model, None
        self._pictures = NOTHING
        if model is not None:
            del model.compute_loss

    def take(self) -> tuple[Any, Any, Any]:
        """Return images, predictions and truth of the last batch, once."""
        pictures, self._pictures = self._pictures, NOTHING
        return pictures

    def _take(self, x: Any, y: Any, y_pred: Any) -> None:
        try:
            detached = y_pred.detach() if hasattr(y_pred, "detach") else y_pred
            self._pictures = self._images((x, y), {"predictions": detached}) or NOTHING
        except BaseException as error:  # noqa: BLE001 -- a model's objects may be anything
            let_through(error)
            self._on_error(error)
