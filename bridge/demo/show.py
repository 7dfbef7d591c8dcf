"""The demo from its first line to its summary."""

import signal
import sys
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from bridge.client import TrainingSession
from bridge.demo.bridge_process import RunningBridge, bridge_process
from bridge.demo.digits import CLASS_NAMES
from bridge.demo.summary import summary
from bridge.demo.training import BATCH_SIZE, Plan, Told, Training

FAILED = 1


def run(
    *,
    exit_when_done: bool,
    epochs: int,
    grpc_address: str,
    http_address: str,
    state: str | None,
) -> int:
    """Train a small classifier into a bridge of its own; return the exit status.

    Raises BridgeError when the bridge does not start.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    training = Training(Plan(epochs=epochs))
    folder = Path(state).expanduser() if state else None
    try:
        with bridge_process(
            grpc_address=grpc_address, http_address=http_address, state=folder
        ) as bridge:
            return _shown(bridge, training, stays=not exit_when_done)
    except KeyboardInterrupt:
        _say("\nStopped.")
        return 0 if not exit_when_done else FAILED


def _shown(bridge: RunningBridge, training: Training, *, stays: bool) -> int:
    session = TrainingSession(
        bridge.grpc,
        model="digits",
        dataset="handwritten digits",
        epochs=training.plan.epochs,
        batches_per_epoch=training.batches_per_epoch,
        batch_size=BATCH_SIZE,
        class_names=CLASS_NAMES,
        client_name="trainbridge-demo",
    )
    _introduce(bridge, session.session_id)
    with session:
        told = _trained(session, training)
    lines = summary(bridge, session.session_id, told, session.stats)
    agrees = all(line.agrees for line in lines)
    _say("\nWhat was sent has arrived:" if agrees else "\nWhat was sent has NOT all arrived:")
    for line in lines:
        _say(str(line))
    if stays:
        _say(f"\nStill serving at {bridge.url}/ - Ctrl-C ends it.")
        bridge.process.wait()
    return 0 if agrees else FAILED


def _introduce(bridge: RunningBridge, session_id: str) -> None:
    _say(
        "A small network learns to read handwritten digits. Look on while it does:\n\n"
        f"  all sessions   {bridge.url}/\n"
        f"  this one       {bridge.url}/sessions/{session_id}\n"
        f"  for Prometheus {bridge.url}/metrics\n"
    )


def _trained(session: TrainingSession, training: Training) -> Told:
    total = training.plan.epochs * training.batches_per_epoch
    with tqdm(total=total, unit="batch", file=sys.stdout, mininterval=0.2) as bar:

        def progress(epoch: int, loss: float) -> None:
            bar.set_description(f"epoch {epoch} of {training.plan.epochs}", refresh=False)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()

        return training.run(session, progress)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
