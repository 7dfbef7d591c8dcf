"""What is logged is what arrives, however far the loop is ahead of its device."""

import time

import pytest

torch = pytest.importorskip("torch")

from support.device_loops import (  # noqa: E402 -- only where PyTorch is there
    STEPS,
    Buffers,
    Busy,
    check,
    check_classes,
    check_losses,
    check_pictures,
    log,
    loss_of,
)

from bridge.client import TrainingSession  # noqa: E402
from bridge.client.testing import RecordingBridge  # noqa: E402

ARGUMENTS = ("loss", "images", "predictions", "ground_truth")


def test_fresh_tensors(device):
    """Tensors that the loop drops right after the call, so that their memory is used again at once."""
    bridge, buffers = RecordingBridge(), Buffers(device)
    with TrainingSession(bridge) as session:
        for step in range(STEPS):
            buffers.fill(step)
            log(session, step, **buffers.copies())

    check(bridge, session)


@pytest.mark.parametrize("reused", [*[(name,) for name in ARGUMENTS], ARGUMENTS], ids="+".join)
def test_reused_buffers(device, reused):
    """Static buffers that the next step overwrites; each alone, and all together."""
    bridge, buffers = RecordingBridge(), Buffers(device)
    with TrainingSession(bridge) as session:
        for step in range(STEPS):
            buffers.fill(step)
            static = buffers.arguments()
            log(session, step, **(buffers.copies() | {name: static[name] for name in reused}))

    check(bridge, session)


def test_an_accumulated_loss(device):
    """`total += loss` changes the tensor that was logged, in place."""
    bridge, busy = RecordingBridge(), Busy(device)
    total = torch.zeros((), device=device)
    with TrainingSession(bridge) as session:
        for step in range(STEPS):
            total += busy.zero() + step
            log(session, step, total)
            session.log_scalars({"total": total})

    expected = [float(step * (step + 1) // 2) for step in range(STEPS)]
    check_losses(bridge, expected)
    assert [scalars.values["total"] for scalars in bridge.scalars] == expected


@pytest.mark.parametrize("where", ["loss", "images", "predictions", "ground_truth"])
def test_one_argument_in_host_memory(device, where):
    """The loss on the host beside images on the device, and every other way round."""
    bridge, buffers = RecordingBridge(), Buffers(device)
    with TrainingSession(bridge) as session:
        for step in range(20):
            buffers.fill(step)
            arguments = buffers.arguments()
            log(session, step, **(arguments | {where: arguments[where].cpu().numpy()}))

    check(bridge, session, 20)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(device, dtype):
    """Losses and logits in half precision, and in double."""
    bridge, buffers = RecordingBridge(), Buffers(device, dtype=dtype)
    with TrainingSession(bridge) as session:
        for step in range(STEPS):
            buffers.fill(step)
            log(session, step, **buffers.arguments())

    check(bridge, session)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_images_with_their_channels_last_in_memory(device, dtype):
    """As convolutions are fastest with; also pictures in half precision, and every other row of them."""
    bridge, buffers = RecordingBridge(), Buffers(device)
    with TrainingSession(bridge) as session:
        for step in range(20):
            buffers.fill(step)
            images = buffers.images.to(memory_format=torch.channels_last)
            if dtype is not torch.uint8:
                images = (images.float() / 255).to(dtype)
            log(session, step, images=images[:, :, ::2], loss=buffers.loss)

    for step, batch in enumerate(bridge.batches):
        check_pictures(batch, step)
    assert session.stats.left_out == {}


def test_a_list_of_images(device):
    """Views of one buffer that the next step overwrites."""
    bridge, buffers = RecordingBridge(), Buffers(device)
    with TrainingSession(bridge) as session:
        for step in range(20):
            buffers.fill(step)
            log(session, step, **(buffers.arguments() | {"images": list(buffers.images)}))

    check(bridge, session, 20)


@pytest.mark.parametrize("first", [torch.inference_mode, torch.no_grad])
def test_a_validation_pass_comes_first(device, first):
    """Memory that was taken in inference mode serves the training behind it."""
    bridge, buffers = RecordingBridge(), Buffers(device)
    with TrainingSession(bridge) as session:
        with first():
            for step in range(5):
                buffers.fill(step)
                log(session, step, **buffers.copies())
        for step in range(5, 20):
            buffers.fill(step)
            log(session, step, **buffers.arguments())

    check(bridge, session, 20)


def test_large_logits(device):
    """Scores of a large vocabulary: the classes are those of each step."""
    bridge = RecordingBridge()
    buffers, wide = Buffers(device), torch.zeros(4, 100_000, device=device)
    with TrainingSession(bridge) as session:
        for step in range(20):
            buffers.fill(step)
            wide.zero_()
            wide[:, step % 10] = 5
            log(session, step, **(buffers.arguments() | {"predictions": wide}))

    check(bridge, session, 20)


def test_the_pictures_of_every_spike_arrive(device):
    """A bridge that takes two batches a second gets those with the highest loss, which the loop overwrites."""
    bridge, buffers = RecordingBridge(image_batches_per_second=2.0), Buffers(device)
    spikes = range(10, 60, 12)
    with TrainingSession(bridge) as session:
        for step in range(60):
            buffers.fill(step)
            if step in spikes:
                buffers.loss.fill_(1_000.0 + step)
            log(session, step, **buffers.arguments())
            time.sleep(0.05)

    assert [batch.batch for batch in bridge.batches if (batch.loss or 0) >= 1_000] == [*spikes]
    for step in spikes:
        check_pictures(bridge.batches[step], step)
        check_classes(bridge.batches[step], step)


@pytest.mark.cuda
def test_a_loop_in_a_side_stream(card):
    """All of the loop's work, and its calls, in a stream that is not the default."""
    bridge, stream = RecordingBridge(), torch.cuda.Stream()
    with TrainingSession(bridge) as session, torch.cuda.stream(stream):
        buffers = Buffers(card)
        for step in range(STEPS):
            buffers.fill(step)
            log(session, step, **buffers.arguments())

    check(bridge, session)


@pytest.mark.cuda
def test_two_streams(card):
    """Computed on one stream, logged on another that waits for it, and dropped at once by the first."""
    bridge, buffers = RecordingBridge(), Buffers(card)
    reader = torch.cuda.Stream()
    behind = Busy(card)
    with TrainingSession(bridge) as session:
        for step in range(STEPS):
            buffers.fill(step)
            fresh = buffers.copies()
            reader.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(reader):
                behind.zero()  # so that the copies come long after the memory was given back
                log(session, step, **fresh)
            del fresh

    check(bridge, session)


@pytest.mark.cuda
def test_a_replayed_graph(card):
    """One graph captured, a hundred replays, each into the same static tensors."""
    bridge, buffers = RecordingBridge(), Buffers(card)
    counter = torch.zeros((), device=card)

    classes = torch.arange(10, device=card)

    def step_of_the_graph():
        late = buffers.busy.zero()
        buffers.loss.copy_(late + counter / 4)
        buffers.images.copy_((late + counter * 2 + 20).expand_as(buffers.images))
        buffers.labels.copy_((counter % 10).long().expand_as(buffers.labels))
        buffers.logits.copy_((classes == buffers.labels[:, None]) * 5.0)
        counter.add_(1)

    with TrainingSession(bridge) as session:
        graph = captured(step_of_the_graph)
        counter.zero_()
        for step in range(STEPS):
            graph.replay()
            log(session, step, **buffers.arguments())

    check(bridge, session)


@pytest.mark.cuda
def test_a_call_during_a_capture(card):
    """It leaves out what is not there yet, the capture succeeds, and the replays compute what they should."""
    bridge, buffers = RecordingBridge(), Buffers(card)
    counter = torch.zeros((), device=card)
    with TrainingSession(bridge) as session:
        log(session, 0, **buffers.arguments())

        def step_of_the_graph():
            counter.add_(1)
            if torch.cuda.is_current_stream_capturing():
                log(session, 1, counter, images=buffers.images)

        graph = captured(step_of_the_graph)
        counter.zero_()
        for step in range(2, 12):
            graph.replay()
            log(session, step, counter)

    assert [batch.loss for batch in bridge.batches] == [0.0, None, *map(float, range(1, 11))]
    assert session.stats.left_out["images: graph capture"] == 4


def captured(body):
    """Return the graph of a body, which is run before, as PyTorch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(600)
def test_a_compiled_step_that_replays_graphs_by_itself(card):
    """`torch.compile(mode="reduce-overhead")` gives out memory that its next run overwrites."""
    pytest.importorskip("triton")
    bridge = RecordingBridge()
    weight = torch.ones(256, 256, device=card)
    steps = torch.arange(STEPS, device=card, dtype=torch.float32)
    classes = torch.arange(10, device=card)

    @torch.compile(mode="reduce-overhead")
    def forward(number):
        hidden = (weight * number) @ weight
        return hidden.mean() / 1024, (classes == number % 10) * 5.0

    with TrainingSession(bridge) as session:
        for step in range(STEPS):
            torch.compiler.cudagraph_mark_step_begin()
            loss, logits = forward(steps[step])
            log(session, step, loss, predictions=logits.expand(4, -1))

    check_losses(bridge, [loss_of(step) for step in range(STEPS)])
    for step, batch in enumerate(bridge.batches):
        assert [class_ for class_, _ in batch.predictions] == [step % 10] * 4
    assert session.stats.left_out == {}


@pytest.mark.cuda
def test_a_second_card(card):
    """Values of two cards in one call; the thread's current card is another than theirs."""
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one CUDA device here")
    bridge, buffers = RecordingBridge(), Buffers(card)
    other = torch.device("cuda:1")
    with TrainingSession(bridge) as session:
        for step in range(STEPS):
            buffers.fill(step)
            arguments = buffers.arguments()
            moved = {"loss": buffers.loss.to(other), "images": buffers.images.to(other)}
            log(session, step, **(arguments | moved))

    check(bridge, session)
