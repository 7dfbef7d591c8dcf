"""Serve the pages with realistic sessions: `python tests/support/sample_pages.py --address 127.0.0.1:8090`."""

import argparse
import asyncio
import io
import math
import random
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image as Picture
from sklearn.datasets import load_digits
from support.pages import deps_in

from bridge.hardware import Gpu, Resources
from bridge.lifecycle import CommandAnswered, CommandSent, Connected, Disconnected, Ended
from bridge.model import (
    Batch,
    Client,
    CommandResult,
    Config,
    Epoch,
    Level,
    Occurrence,
    Performance,
    Scalars,
    Stage,
    Status,
    StatusChange,
)
from bridge.protocol import CommandType
from bridge.session import Session
from bridge.web import bind_listener, build_app, serve_http

DIGITS = tuple(map(str, range(10)))
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
GIB = 2**30


@cache
def digit(number):
    """Return one handwritten digit as a JPEG, and what it is."""
    digits = _digits_known()
    small = Picture.fromarray((255 - digits.images[number] * 15.9).astype("uint8"))
    buffer = io.BytesIO()
    small.resize((160, 160), Picture.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), int(digits.target[number])


@cache
def _digits_known():
    return load_digits()


def sample_deps(folder, **changes):
    """Return the dependencies of a bridge that holds sessions in every state."""
    deps, stored = deps_in(folder, **changes)
    now = time.time()
    _digits(deps, stored, now)
    _diverging(deps, stored, now)
    _hostile(deps, now)
    _over(deps, stored, now)
    _language_model(deps, now)
    _simple(deps, now)
    _ranks(deps, now)
    _preempted(deps, stored, now)
    return deps


def _run(deps, session_id, *, started, config, client=None):
    session = deps.sessions.register(
        session_id, client or Client("trainbridge", "0.1"), config
    ).session
    session.registered_at = started
    session.apply(Connected(), started)
    return session


def _digits(deps, stored, now):
    """Add a run in its fourth epoch of six, with spikes, images, a confusion matrix and commands."""
    chance = random.Random(1)
    config = Config(6, 400, 32, "mlp-64-128-10", "handwritten digits", DIGITS)
    session = _run(
        deps,
        "digits-2024-11-24",
        started=now - 1500,
        config=config,
        client=Client(
            "trainbridge",
            "0.1.0",
            labels={"team": "vision", "git": "4f1c9ab"},
            run_config={"optimizer.name": "adamw", "optimizer.lr": 1e-3, "seed": 1, "amp": True},
        ),
    )
    session.apply(StatusChange(Status.RUNNING, "training"), now - 1490)
    confusion = {}
    for step in range(1450):
        epoch, index, at = step // 400, step % 400, now - 1480 + step
        loss = 0.08 + 2.2 * math.exp(-step / 240) * chance.uniform(0.75, 1.3)
        if step in (702, 703, 1190):
            loss = 4.8 if step < 1000 else 2.1
        session.apply(Batch(epoch, index, loss, sample_count=32), at)
        if step % 5 == 0:
            _log_scalars(session, chance, step, at)
        _predict(chance, confusion, step)
        if step % 24 == 0 or step in (702, 703, 1190):
            _keep(stored, chance, session.id, (epoch, index), loss, int(at * 1000), step)
        if index == 399:
            share = 0.7 + epoch * 0.085
            session.apply(
                Epoch(
                    epoch,
                    1.5 / (epoch + 1),
                    share,
                    1.7 / (epoch + 1),
                    share - 0.03,
                    1e-3 / (epoch + 1),
                ),
                at,
            )
    gpus = (
        Gpu(0, "GPU-5d0c", 0.93, 31 * GIB, 80 * GIB, 61, 412),
        Gpu(1, "GPU-77aa", 0.88, 30 * GIB, 80 * GIB, 58, 397),
    )
    session.apply(
        Performance(0.0412, 402.0, 960.0, 12_480.0, 12_120.0, Resources(3.42, 9.1 * GIB, gpus)), now
    )
    for before, event in (
        (1500, Occurrence("lr drop", "by half", Level.INFO, {"from": "0.001"}, 1, 300, 700)),
        (600, Occurrence("loss spike", "skipped", Level.WARNING, {}, 2, 390, 1190)),
    ):
        session.apply(event, now - before)
    _command(deps, session, CommandType.CHANGE_LEARNING_RATE, {"learning_rate": "0.0003"}, now)
    deps.commands.submit(session.id, CommandType.SAVE_CHECKPOINT, {})
    deps.metrics.confusions[session.id] = confusion


def _ranks(deps, now):
    """Add a run of eight ranks, of which one loads data slowly and one has not come."""
    chance = random.Random(5)
    for rank in (0, 1, 2, 3, 4, 5, 7):
        session = _run(
            deps,
            f"llama-1b-a1-rank{rank}" if rank else "llama-1b-a1",
            started=now - 2400,
            config=Config(1, 20_000, 64, "llama-1b", "fineweb"),
            client=Client(
                "trainbridge", "0.1.0", f"i{rank}", run_id="llama-1b-a1", rank=rank, world_size=8
            ),
        )
        session.apply(StatusChange(Status.RUNNING), now - 2390)
        if rank == 0:
            for step in range(600):
                loss = 3.1 + 7 * math.exp(-step / 90) * chance.uniform(0.9, 1.1)
                session.apply(Batch(0, step, loss, sample_count=64), now - 700 + step)
        data = 118.0 if rank == 5 else 4.0 + rank
        reasons = ("hardware_thermal",) if rank == 3 else ("power",)
        gpu = Gpu(0, f"GPU-{rank}", 0.97 - rank / 90, 61 * GIB, 80 * GIB, 71, 640, reasons, 0, 0)
        for steps, share, at in ((300, 0.0, now - 290), (590, 1.0, now - 2)):
            seconds = {"startup": 41.0, "training": (290 - data) * share, "data": data * share}
            if rank == 0:
                seconds["validation"] = 38.0 * share
            session.apply(
                Performance(
                    0.998,
                    frames_per_second=64.1,
                    resources=Resources(1.02, 11 * GIB, (gpu,)),
                    phase="data" if rank == 5 else "training",
                    phase_seconds=seconds,
                    batches=steps,
                ),
                at,
            )
        session.stepped_at = now - 1


def _command(deps, session, type, parameters, now):
    command = deps.commands.submit(session.id, type, parameters)
    deps.commands.take(session.id)
    session.apply(CommandSent(command.id, type, parameters), now - 300)
    result = CommandResult(command.id, applied=True, message="done", epoch=2, batch=388)
    deps.commands.answer(session.id, result)
    session.apply(CommandAnswered(type, result), now - 299)


def _log_scalars(session, chance, step, at):
    """Log what a loop logs by name: with the batches of training, and now and then of validation."""
    noise, place = chance.uniform(0.9, 1.1), (step // 400, step % 400)
    values = {"gradient_norm": 3 * math.exp(-step / 500) * noise, "temperature": 1.07}
    session.apply(Scalars(*place, {"perplexity": 1 + 90 / (step + 2) * noise}, step, "train"), at)
    session.apply(Scalars(*place, values, step), at)
    if step % 100 == 0:
        value = 1.4 + 95 / (step + 2)
        session.apply(Scalars(*place, {"perplexity": value}, step, "validation"), at)


def _language_model(deps, now):
    """Add a run without epochs, which counts by steps and tokens and logs what language models are judged by."""
    chance = random.Random(7)
    session = _run(
        deps, "gpt-mini-1b", started=now - 9_000, config=Config(0, 0, 512, "gpt-mini", "fineweb")
    )
    session.apply(StatusChange(Status.RUNNING), now - 8_990)
    for step in range(40_000, 44_000):
        at = now - 8_980 + (step - 40_000) * 2.2
        loss = 2.4 + 3 * math.exp(-(step - 40_000) / 700) + chance.uniform(-0.12, 0.12)
        session.apply(Batch(0, step, loss, step=step, tokens=524_288, sample_count=512), at)
        if step % 10:
            continue
        values = {"loss": loss, "gradient_norm": chance.uniform(0.4, 0.9), "mfu": 0.41}
        values |= {"learning_rate": 3e-4 * (44_500 - step) / 4_500, "router/load": chance.random()}
        session.apply(Scalars(0, step, values, step, "train"), at)
        if step % 250 == 0:
            session.apply(Scalars(0, step, {"loss": loss + 0.2}, step, "validation"), at)
    sample = {"text": "Once upon a time there was a small dragon", "temperature": "0.8"}
    for step, event in (
        (40_900, ("lr drop", "the schedule has reached its plateau", Level.INFO, {})),
        (42_500, ("loss spike", "batch skipped", Level.WARNING, {"loss": "11.2"})),
        (43_750, ("sample", "", Level.INFO, sample)),
    ):
        at = now - 8_980 + (step - 40_000) * 2.2
        session.apply(Occurrence(*event, 0, step, step), at)


def _predict(chance, confusion, step):
    for _ in range(8):
        actual = chance.randrange(10)
        is_right = chance.random() < 0.75 + step / 7000
        near = {8: 1, 9: 3, 4: 9, 3: 8, 7: 9, 1: 8}.get(actual, chance.randrange(10))
        pair = str(actual), str(actual if is_right else near)
        confusion[pair] = confusion.get(pair, 0) + 1


def _keep(stored, chance, session_id, place, loss, received_ms, step):
    images = []
    for position in range(16):
        content, actual = digit((step * 16 + position) % 1797)
        is_right = chance.random() > min(0.6, loss / 4)
        predicted = actual if is_right else chance.randrange(10)
        images.append((content, predicted, chance.uniform(0.4, 0.999), actual))
    stored.add(session_id, *place, images, loss=loss, received_ms=received_ms)


def _diverging(deps, stored, now):
    """Add a paused run whose loss has become NaN."""
    chance = random.Random(2)
    config = Config(
        90, 1200, 256, "resnet50", "imagenet-1k (subset of 100 classes)", ("cat", "dog")
    )
    session = _run(deps, "resnet50-warmup-lr3e-2-seed4", started=now - 9000, config=config)
    for step in range(2600):
        loss = 6.9 - step / 900 + chance.uniform(-0.4, 0.4)
        if step > 2300:
            loss *= 1.02 ** (step - 2300)
        session.apply(
            Batch(step // 1200, step % 1200, math.nan if step > 2540 else loss), now - 8000 + step
        )
    session.apply(Epoch(0, 6.1, 0.012, 6.0, 0.015), now - 7000)
    session.apply(Epoch(1, 5.0, 0.061, 5.3, 0.055), now - 5800)
    content, _ = digit(7)
    stored.add(
        session.id,
        2,
        141,
        [(content, 0, math.nan, 1), (content, None, None, None)],
        loss=None,
        received_ms=int(now * 1000) - 60_000,
    )
    session.apply(StatusChange(Status.PAUSED, "paused by command: the loss is not a number"), now)
    session.apply(
        Performance(0.21, 0, 0, 1219, 1220, Resources(11.9, 60 * GIB, (Gpu(0, "", 0.02),))), now
    )


def _hostile(deps, now):
    """Add a run whose every text tries to become HTML."""
    config = Config(3, 10, 8, HOSTILE, "x" * 400, (HOSTILE, "y" * 300))
    client = Client(HOSTILE, "1", labels={HOSTILE: HOSTILE})
    session = _run(deps, "a" * 63, started=now - 400, config=config, client=client)
    for index in range(4):
        session.apply(Batch(0, index, 10.0**300 if index == 2 else 0.3), now - 300 + index)
    session.apply(Scalars(0, 3, {HOSTILE: 1.0}), now - 200)
    session.apply(StatusChange(Status.RUNNING, HOSTILE), now - 200)
    session.apply(Disconnected(), now - 100)
    deps.metrics.confusions[session.id] = {("0", "1"): 3, ("other", "0"): 1, ("1", "1"): 2}


def _over(deps, stored, now):
    """Add a completed and a failed run."""
    own = {
        "optimizer.name": "adamw",
        "optimizer.lr": 5e-5,
        "seed": 4,
        "amp": True,
        "notes": "x" * 300,
    }
    done = _run(
        deps,
        "bert-tiny-sst2",
        started=now - 4000,
        client=Client("trainbridge", "0.1.0", run_config=own),
        config=Config(3, 200, 16, "bert-tiny", "sst2", ("negative", "positive")),
    )
    chance = random.Random(3)
    for step in range(600):
        session_at = now - 3900 + step * 5
        done.apply(
            Batch(step // 200, step % 200, 0.7 * math.exp(-step / 300) + chance.uniform(0, 0.1)),
            session_at,
        )
        if step % 200 == 199:
            epoch = step // 200
            done.apply(
                Epoch(epoch, 0.5 / (epoch + 1), 0.8 + epoch * 0.05, 0.6 / (epoch + 1), 0.79),
                session_at,
            )
    done.apply(StatusChange(Status.COMPLETED, "accuracy 0.90"), now - 800)
    done.apply(Ended(Stage.ENDED), now - 800)
    failed = _run(
        deps, "unet-cells-17", started=now - 2000, config=Config(50, 80, 4, "unet", "cells")
    )
    for step in range(100):
        failed.apply(Batch(step // 80, step % 80, 0.9 - step / 400), now - 1900 + step)
    failed.apply(
        StatusChange(Status.FAILED, "CUDA out of memory: tried to allocate 2.00 GiB"), now - 1700
    )
    failed.apply(Ended(Stage.ENDED), now - 1700)


def _simple(deps, now):
    """Add a run that has only just registered, without any configuration."""
    _run(deps, "run-6fd0a1", started=now - 3, config=Config())


def _preempted(deps, stored, now):
    """Add a run that was killed, failed, and now goes on in its third attempt."""
    chance = random.Random(4)
    config = Config(6, 200, 64, "vit-small", "cifar10", DIGITS)
    former = []
    for number, (first, last, ago) in enumerate(
        ((0, 520, 9000), (400, 700, 7000), (600, 900, 4000)), start=1
    ):
        client = Client("trainbridge", "0.1.0", f"process-{number}")
        session = Session("vit-preempted", client, config, now=now - ago, attempt=number)
        session.apply(Connected(), now - ago)
        for step in range(first, last):
            at = now - ago + 2 * (step - first)
            loss = 2.3 * math.exp(-step / 350) * chance.uniform(0.85, 1.15)
            session.apply(Batch(step // 200, step % 200, loss), at)
            session.updated_at = at
            if step % 200 == 199:
                epoch = step // 200
                session.apply(Epoch(epoch, 2.0 / (epoch + 1), 0.5 + epoch * 0.08), at)
            if step % 100 == 50:
                images, place = [(digit(step)[0], 3, 0.8, 5)], (step // 200, step % 200)
                stored.add(
                    session.id,
                    *place,
                    images,
                    loss=loss,
                    received_ms=int(at * 1000),
                    attempt=number,
                )
        former.append(session)
    newest = former.pop()
    former[1].apply(StatusChange(Status.FAILED, "NCCL timeout"), former[1].updated_at)
    former[1].apply(Ended(Stage.ENDED), former[1].updated_at)
    newest.apply(StatusChange(Status.RUNNING, "resumed from epoch 3"), newest.updated_at)
    deps.archive.former += former
    deps.sessions.restore(newest)


async def _serve(address):
    with tempfile.TemporaryDirectory() as folder, bind_listener(address) as listener:
        deps = sample_deps(Path(folder), grafana_url="http://localhost:3000")
        async with serve_http(build_app(deps), listener):
            print(f"http://{listener.address}/", flush=True)  # noqa: T201 -- where to look
            await asyncio.Event().wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--address", default="127.0.0.1:8090")
    asyncio.run(_serve(arguments.parse_args().address))
