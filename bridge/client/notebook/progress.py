"""How far a run has come, as the SDK's own thread sees it go by."""

from bridge.client.calls import BatchCall, Call, EpochCall, StatusCall
from bridge.client.capture.losses import LOWEST, number_or_lowest
from bridge.client.encoding.batch_index import BatchIndex
from bridge.client.identity import RunConfig
from bridge.client.notebook.loss_curve import LossCurve


class Progress:
    """Follows the calls of one session; written by one thread, and read by others."""

    def __init__(self, config: RunConfig) -> None:
        """Start before the first batch."""
        self._config = config
        self._first_epoch: int | None = None
        self._ended_epochs = 0
        self.place: BatchIndex | None = None
        """Of the last batch."""
        self.batches = 0
        self.samples = 0
        self.loss: float | None = None
        """Of the last batch that had one."""
        self.curve = LossCurve()
        self.status: StatusCall | None = None
        """The last one."""

    def see_batch(self, call: BatchCall, place: BatchIndex, samples: int) -> None:
        """Follow a batch, before what it has captured is released."""
        if self._first_epoch is None:
            self._first_epoch = place.epoch
        self.place = place
        self.batches += 1
        self.samples += samples
        loss = LOWEST if call.loss is None else number_or_lowest(call.loss)
        if loss != LOWEST:
            self.loss = loss
            self.curve.add(loss)

    def see(self, call: Call) -> None:
        """Follow any other call."""
        if type(call) is StatusCall:
            self.status = call
        elif type(call) is EpochCall:
            self._ended_epochs += 1

    def ratio(self) -> float | None:
        """Return how much of the run is done, 0 to 1; None where nobody has said how long it is."""
        place, config = self.place, self._config
        if place is None or not config.epochs:
            return None
        first = 1 if self._first_epoch else 0  # loops count from 0 or from 1
        epochs = float(place.epoch - first)
        if config.batches_per_epoch:
            epochs += (place.batch + 1) / config.batches_per_epoch
        else:
            epochs = max(epochs, float(self._ended_epochs))
        return min(1.0, max(0.0, epochs / config.epochs))

    def place_text(self) -> str:
        """Return where the run is, for people; "" before the first batch."""
        place, config = self.place, self._config
        if place is None:
            return ""
        if place.is_by_step:
            return f"step {_of(place.batch, config.batches_per_epoch)}"
        texts = [f"epoch {_of(place.epoch, config.epochs)}"]
        texts.append(f"batch {_of(place.batch, config.batches_per_epoch)}")
        if place.step is not None:
            texts.append(f"step {place.step:,}")
        return " · ".join(texts)


def _of(number: int, total: int) -> str:
    return f"{number:,} of {total:,}" if total else f"{number:,}"
