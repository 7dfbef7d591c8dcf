"""What a training loop may report its steps to: each opens, is called once a step, and is checked when it is over.

Each runs in a process of its own, some in an environment that has nothing of ours, so libraries are imported where they are used.
"""

import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from payloads import Payload

Call = Callable[[int], object]
Opened = Callable[[Payload, int], "Iterator[Call]"]

DELIVERY_SECONDS = 120.0
CONNECT_SECONDS = 10.0
GIVE_UP_SECONDS = 0.1


class WrongResultError(Exception):
    """What was reported has not arrived, so there is no figure."""


def check(is_right: bool, what: str) -> None:  # noqa: FBT001 -- reads as a sentence
    """Raise WrongResultError unless all has arrived."""
    if not is_right:
        raise WrongResultError(what)


def nothing(_payload: Payload, _steps: int) -> Iterator[Call]:
    """Report to nobody: what the loop itself costs."""
    yield lambda _step: None


def queue_put(_payload: Payload, steps: int) -> Iterator[Call]:
    """Put a number into a queue that a thread empties: the least that any SDK could do."""
    queue: SimpleQueue[int | None] = SimpleQueue()
    taken: list[int] = []

    def take() -> None:
        while (item := queue.get()) is not None:
            taken.append(item)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    yield queue.put
    queue.put(None)
    thread.join()
    check(len(taken) == steps, f"{len(taken)} of {steps} taken")


def trainbridge(payload: Payload, steps: int) -> Iterator[Call]:
    """Log each step to the bridge of TRAINBRIDGE_ADDRESS, which works, is absent or frozen."""
    from bridge.client import TrainingSession

    session = TrainingSession(session_id=os.environ["SUBJECT_SESSION"], model="benchmark")
    is_reached = os.environ["SUBJECT_BRIDGE"] != "down"
    check(not is_reached or not session.flush(CONNECT_SECONDS), "the bridge is not reached")
    announce_ready()
    log_batch, arguments, losses = session.log_batch, payload.arguments(), payload.losses()
    yield lambda step: log_batch(losses[step % len(losses)], epoch=0, batch=step, **arguments)
    if os.environ["SUBJECT_BRIDGE"] == "up":
        left, stats = session.close(DELIVERY_SECONDS), session.stats
        check(not left and stats.batches_acknowledged == steps, f"{left} not delivered: {stats}")
    else:
        left, stats = session.close(GIVE_UP_SECONDS), session.stats
        kept = left + stats.dropped + stats.acknowledged
        check(kept >= steps, f"only {kept} of {steps} are accounted for: {stats}")


def summary_writer(payload: Payload, steps: int) -> Iterator[Call]:
    """Write to our SummaryWriter, in the words of TensorBoard."""
    from bridge.client.compat.tensorboard import SummaryWriter

    writer = SummaryWriter("runs/benchmark", session_id=os.environ["SUBJECT_SESSION"])
    announce_ready()
    yield _written(writer, payload)
    writer.close()
    stats = writer.session.stats
    check(stats.step == steps - 1 and stats.batches_acknowledged == stats.batches, str(stats))


def compat_wandb(payload: Payload, steps: int) -> Iterator[Call]:
    """Log to our module in the shape of wandb."""
    from bridge.client.compat import wandb

    run = wandb.init(project="benchmark", id=os.environ["SUBJECT_SESSION"])
    announce_ready()
    yield _logged(wandb, payload)
    session = run.session
    wandb.finish()
    stats = session.stats
    check(stats.step == steps - 1 and stats.batches_acknowledged == stats.batches, str(stats))


def tensorboardx(payload: Payload, steps: int) -> Iterator[Call]:
    """Write event files with tensorboardX."""
    from tensorboardX import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        writer = SummaryWriter(folder)
        yield _written(writer, payload)
        writer.close()
        size = sum(path.stat().st_size for path in Path(folder).rglob("*tfevents*"))
        least = sum(image.nbytes // 2 for image in payload.images) + 40
        check(size > least * steps, f"only {size} bytes of {steps} steps were written")


def wandb_offline(payload: Payload, steps: int) -> Iterator[Call]:
    """Log with wandb to its own files."""
    import wandb

    with tempfile.TemporaryDirectory() as folder:
        run = wandb.init(
            project="benchmark", mode="offline", dir=folder, settings=wandb.Settings(silent=True)
        )
        yield _logged(wandb, payload)
        last = run.summary.get("_step")
        wandb.finish()
        check(last == steps - 1, f"the last step is {last}")
        check_files(folder, "*.png", len(payload.images) * steps)


def trackio(payload: Payload, steps: int) -> Iterator[Call]:
    """Log with trackio to its own database."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRACKIO_DIR"] = folder
        import trackio

        trackio.init(project="benchmark", name="run", embed=False)
        yield _logged_one_by_one(trackio, payload)
        trackio.finish()
        from trackio.sqlite_storage import SQLiteStorage

        found = len(SQLiteStorage.get_logs("benchmark", "run"))
        check(found == steps, f"{found} of {steps} were stored")
        check_files(folder, "*.png", len(payload.images) * steps)


def mlflow(payload: Payload, steps: int) -> Iterator[Call]:
    """Log with mlflow to files or a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        import mlflow

        mlflow.set_tracking_uri(f"file://{folder}/runs")
        run = mlflow.start_run()
        images = payload.images

        def log(step: int) -> None:
            mlflow.log_metric("loss", 0.5, step=step)
            for position, image in enumerate(images):
                mlflow.log_image(image, f"{step}-{position}.png")

        yield log
        mlflow.end_run()
        found = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
        check(len(found) == steps, f"{len(found)} of {steps} were stored")
        check_files(folder, "*.png", len(payload.images) * steps)


def check_files(folder: str, pattern: str, least: int) -> None:
    """Raise WrongResultError unless so many files were written."""
    found = sum(1 for _ in Path(folder).rglob(pattern))
    check(found >= least, f"{found} of {least} images were written")


def _written(writer: Any, payload: Payload) -> Call:
    losses, images = payload.losses(), payload.images

    def write(step: int) -> None:
        writer.add_scalar("train/loss", losses[step % len(losses)], step)
        if len(images):
            writer.add_images("images", images, step, dataformats="NHWC")

    return write


def _logged(module: Any, payload: Payload) -> Call:
    losses, images = payload.losses(), payload.images

    def log(step: int) -> None:
        values: dict[str, Any] = {"loss": losses[step % len(losses)]}
        if len(images):
            values["images"] = [module.Image(image) for image in images]
        module.log(values)

    return log


def _logged_one_by_one(module: Any, payload: Payload) -> Call:
    """Log each image under a name of its own, where a library takes no lists of them."""
    losses, images = payload.losses(), payload.images

    def log(step: int) -> None:
        values: dict[str, Any] = {"loss": losses[step % len(losses)]}
        values |= {f"image{number}": module.Image(image) for number, image in enumerate(images)}
        module.log(values)

    return log


def announce_ready() -> None:
    """Say that what is to be measured comes now, and wait until whoever measures agrees."""
    if os.environ.get("SUBJECT_BRIDGE") == "frozen":
        sys.stdout.write(json.dumps({"ready": True}) + "\n")
        sys.stdout.flush()
        sys.stdin.readline()


SUBJECTS: Mapping[str, Opened] = {
    "nothing": nothing,
    "SimpleQueue.put": queue_put,
    "trainbridge": trainbridge,
    "our SummaryWriter": summary_writer,
    "our wandb": compat_wandb,
    "tensorboardX": tensorboardx,
    "wandb offline": wandb_offline,
    "trackio": trackio,
    "mlflow": mlflow,
}


@contextmanager
def opened(name: str, payload: Payload, steps: int) -> Iterator[Call]:
    """Open a subject for the time of the block."""
    yield from SUBJECTS[name](payload, steps)
