"""What the SDK takes of a device: no memory, no waiting, and no end that the process would not have had."""

import gc
import subprocess
import sys
import textwrap
import weakref

import pytest

torch = pytest.importorskip("torch")

from support.device_loops import Buffers, check_losses, log, loss_of  # noqa: E402
from support.tools import ROOT  # noqa: E402

from bridge.client import TrainingSession  # noqa: E402
from bridge.client.capture.device import CUDA  # noqa: E402
from bridge.client.testing import RecordingBridge  # noqa: E402

MEBIBYTE = 1 << 20


def test_no_graph_of_gradients_is_kept_alive(device):
    """Sixty forward passes are logged, and nothing of them is left while their batches wait."""
    alive = weakref.WeakSet()

    class Squared(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            alive.add(ctx)
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return 2 * x * gradient

    bridge = RecordingBridge()
    weights = torch.ones(4, 10, device=device, requires_grad=True)
    with TrainingSession(bridge) as session:
        for step in range(60):
            outputs = Squared.apply(weights * step)
            loss = outputs.mean()
            log(session, step, loss, predictions=outputs, images=outputs.reshape(4, 2, 5))
            session.log_scalars({"loss": loss})
            del outputs, loss
        gc.collect()
        left = len(alive)

    assert left == 0
    check_losses(bridge, [float(step * step) for step in range(60)])


@pytest.mark.cuda
def test_device_memory_of_a_loop_that_never_waits(card):
    """The same steps without us need as much, within a mebibyte, however far the loop is ahead."""

    def peak(call):
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        for step in range(300):
            buffers.fill(step % 100)
            call(step, buffers.copies())
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    buffers = Buffers(card)
    bridge = RecordingBridge()
    peak(lambda step, tensors: None)
    without = peak(lambda step, tensors: None)
    with TrainingSession(bridge) as session:
        with_us = peak(lambda step, tensors: log(session, step, **tensors))

    assert abs(with_us - without) <= MEBIBYTE
    assert len(bridge.batches) == 300


@pytest.mark.cuda
def test_pinned_memory_is_bounded(card):
    """It does not grow with the steps, nor with the sessions of one process."""
    buffers = Buffers(card)

    def run():
        bridge = RecordingBridge()
        with TrainingSession(bridge) as session:
            for step in range(50):
                buffers.fill(step)
                log(session, step, **buffers.arguments())
        check_losses(bridge, [loss_of(step) for step in range(50)])

    run()
    first = CUDA.size_bytes
    for _ in range(5):
        run()

    assert CUDA.size_bytes <= 2 * first + MEBIBYTE


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_nothing_waits_for_the_device(card):
    """With `torch.cuda.set_sync_debug_mode("error")` every batch arrives all the same."""
    bridge, buffers = RecordingBridge(), Buffers(card)
    buffers.fill(0)
    torch.cuda.synchronize()
    with TrainingSession(bridge) as session:
        torch.cuda.set_sync_debug_mode("error")
        try:
            for step in range(20):
                buffers.loss.fill_(loss_of(step))
                log(session, step, **buffers.arguments())
                session.log_scalars({"loss": buffers.loss})
            session.log_epoch(0, loss=buffers.loss, accuracy=torch.full((), 0.5, device=card))
        finally:
            torch.cuda.set_sync_debug_mode("default")

    check_losses(bridge, [loss_of(step) for step in range(20)])
    assert [scalars.values["loss"] for scalars in bridge.scalars] == [
        loss_of(step) for step in range(20)
    ]
    assert bridge.epochs[0].accuracy == 0.5
    assert session.stats.left_out == {}


PROGRAM = """
    import sys, threading, time
    import torch
    from bridge.client import TrainingSession
    from bridge.client.testing import RecordingBridge

    device = sys.argv[1]

    def work():
        while True:
            time.sleep(0.001)  # one inside PyTorch at the end aborts the process, with us and without

    threading.Thread(target=work, daemon=True).start()
    bridge = RecordingBridge()
    session = TrainingSession(bridge)
    images = torch.rand(4, 3, 32, 32, device=device)
    for step in range(50):
        logits = images.mean(dim=(2, 3))
        session.log_batch(logits.mean(), epoch=0, batch=step, images=images, predictions=logits)
    session.close()
    print(len(bridge.batches), flush=True)
    if "fail" in sys.argv:
        raise RuntimeError("the loop fails")
"""


@pytest.mark.parametrize(("how", "status"), [("end", 0), ("fail", 1)])
def test_a_process_ends_as_it_would_without_us(device, environment, how, status):
    """Right behind close(), with daemon threads of the program's and of ours; twenty times on a card."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM), device, how]
    ended = [
        subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        for _ in range(20 if device == "cuda" else 1)
    ]

    assert [(each.returncode, each.stdout.strip()) for each in ended] == [
        (status, "50") for _ in ended
    ]
