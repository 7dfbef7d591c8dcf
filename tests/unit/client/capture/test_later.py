"""Values on a device: copied by it at the call, and decided on when they arrive."""

import io
import math
from io import BytesIO

import pytest
from PIL import Image

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402 -- only where PyTorch is there
from support.fake_device import FakeDevice, LateDevice  # noqa: E402
from support.jpegs import jpeg  # noqa: E402
from support.waiting import until_true  # noqa: E402

from bridge.client import TrainingSession  # noqa: E402
from bridge.client.capture.call_queue import CallQueue  # noqa: E402
from bridge.client.capture.capture import Capture  # noqa: E402
from bridge.client.capture.device import DeviceCopies  # noqa: E402
from bridge.client.capture.image_sampler import Candidate  # noqa: E402
from bridge.client.capture.reading import images_of, number_of, value_of  # noqa: E402
from bridge.client.capture.values import LARGE_ROWS_BYTES, Snapshot, Values  # noqa: E402
from bridge.client.delivery.server_config import ServerConfig  # noqa: E402
from bridge.client.encoding.predictions import predictions_of  # noqa: E402
from bridge.client.left_out import LeftOut, Reason  # noqa: E402
from bridge.client.testing import RecordingBridge  # noqa: E402


class Loop:
    """A loop on a device, with its capture."""

    def __init__(self, *, rate=math.inf, limit_bytes=64 << 20):
        self.device = FakeDevice()
        self.queue = CallQueue(limit_bytes)
        self.left_out = LeftOut()
        self.now = 10.0
        self.capture = Capture(
            self.queue,
            limit_bytes,
            server_config=lambda: ServerConfig(image_batches_per_second=rate, is_received=True),
            left_out=self.left_out,
            values=Values(DeviceCopies(self.device)),
            clock=lambda: self.now,
        )
        self.step = 0

    def batch(self, loss=0.5, images=None, predictions=None, ground_truth=None):
        """Log one batch."""
        self.capture.batch(
            loss, (0, self.step, None), None, images, predictions, ground_truth, None
        )
        self.step += 1

    def waiting(self):
        """Return the steps whose images wait."""
        return [call.batch for call in self.queue._calls if call.images and call.images.is_waiting]


def test_static_buffers_arrive_as_they_were():
    """A loop that never waits for its device, and whose every step overwrites what the last one logged."""
    loop = Loop()
    loss, images = loop.device.tensor([0.0]), loop.device.put(torch.zeros(4, 3, 8, 8))
    logits, labels = (
        loop.device.put(torch.zeros(4, 3)),
        loop.device.tensor([0] * 4, dtype=torch.int64),
    )

    for step in range(100):
        loop.device.then(lambda step=step: loss.fill_(step))
        loop.device.then(lambda step=step: images.fill_(step))
        loop.device.then(lambda step=step: logits.fill_(0)[:, step % 3].fill_(step + 1))
        loop.device.then(lambda step=step: labels.fill_(step % 3))
        loop.batch(loss, images, logits, labels)
    assert loop.queue.take(1_000) == []
    loop.device.run()

    calls = loop.queue.take(1_000)
    for step, call in enumerate(calls):
        assert number_of(call.loss) == step
        assert np.all(images_of(call.images.claim())[0] == step)
        assert value_of(call.predictions).argmax(axis=1).tolist() == [step % 3] * 4
        assert value_of(call.ground_truth).tolist() == [step % 3] * 4
    assert len(calls) == 100


def test_images_are_chosen_when_the_loss_arrives():
    """At the next call after that; until then each waits, and the loser releases its memory."""
    loop = Loop(rate=2.0)
    loss, images = loop.device.tensor([0.0]), loop.device.put(torch.zeros(4, 3, 8, 8))
    for step, value in enumerate([1.0, 3.0, 2.0, 9.0, 4.0]):
        loop.device.then(lambda value=value: loss.fill_(value))
        loop.batch(loss, images)
        assert len(loop.waiting()) == step + 1
    loop.device.run()
    loop.batch(loss, images)

    assert loop.waiting() == [0, 3, 5]
    assert loop.left_out.of("images", Reason.SAMPLED_OUT) == 12


def test_a_loss_on_the_host_decides_at_once():
    """Images on a device are copied only where the batch is wanted."""
    loop = Loop(rate=2.0)
    images = loop.device.put(torch.zeros(4, 3, 8, 8))
    loop.batch(1.0, images)
    work = len(loop.device.work)
    loop.batch(0.5, images)

    assert len(loop.device.work) == work
    assert loop.waiting() == [0]


def test_a_device_far_behind_costs_images_never_losses():
    """Memory for copies is bounded; what does not fit is counted."""
    loop = Loop(limit_bytes=2 * 10 * 4 * 3 * 8 * 8 * 4)
    loss, images = loop.device.tensor([0.0]), loop.device.put(torch.zeros(4, 3, 8, 8))
    for _ in range(50):
        loop.batch(loss, images)

    assert len(loop.waiting()) == 10
    assert loop.left_out.of("images", Reason.MEMORY) == 160
    assert loop.device.pinned_bytes < 1 << 20
    loop.device.run()
    assert len(loop.queue.take(100)) == 50


def test_a_loss_on_the_device_decides_on_images_of_the_host():
    """They are copied at the call, since the loop overwrites them, and discarded when the loss has arrived."""
    loop = Loop(rate=2.0)
    loss, images = loop.device.tensor([0.0]), np.zeros((4, 8, 8, 3), np.uint8)
    for step, value in enumerate([1.0, 3.0, 2.0]):
        loop.device.then(lambda value=value: loss.fill_(value))
        images[...] = step
        loop.batch(loss, images, images[:, 0, 0], np.full(4, step))
    loop.device.run()
    loop.batch(0.0, images)

    assert loop.waiting() == [0, 1]
    calls = loop.queue.take(10)
    assert [number_of(call.loss) for call in calls] == [1.0, 3.0, 2.0, 0.0]
    assert [np.mean(images_of(calls[step].images.claim())) for step in (0, 1)] == [0, 1]


def test_memory_used_again_says_nothing_of_an_earlier_loss():
    """Memory that the SDK's thread has released may hold a later loss; a spike is not compared with itself."""
    loop = Loop(rate=2.0)
    loss, images = loop.device.tensor([0.0]), loop.device.put(torch.zeros(4, 3, 8, 8))
    loop.batch(loss, images)
    loop.device.run()
    (call,) = loop.queue.take(1)  # as the SDK's thread does, before the loop's next call
    call.images.claim().release()
    call.transfer.release()
    loss.fill_(9.0)
    loop.batch(loss)
    loop.device.run()
    loop.batch(5.0, images)
    loop.device.run()

    assert [call.batch for call in loop.queue.take(3) if call.images] == [2]


def test_a_device_that_never_delivers_fills_no_list():
    """Batches that were decided on without their loss are not kept for it."""
    loop = Loop(rate=2.0)
    images = loop.device.put(torch.zeros(4, 3, 8, 8))
    for _ in range(50):
        loop.batch(loop.device.tensor([0.0]), images)
        loop.queue.take(1, only_arrived=False)[0].images.claim()

    assert len(loop.capture.copies._undecided) <= 1


def test_a_list_of_images_during_a_capture_is_left_out_for_its_reason():
    """Like an array of them."""
    loop = Loop()
    loop.device.capturing = True
    loop.batch(0.5, [loop.device.put(torch.zeros(3, 8, 8)) for _ in range(4)])

    assert loop.left_out.of("images", Reason.CAPTURING) == 4


def test_a_device_without_copies_of_its_own_is_waited_for_by_our_thread():
    """The loop never reads a loss that it would have to wait for; images wait until the SDK's thread has."""
    loop = Loop(rate=2.0)
    loss = Snapshot(torch.tensor([2.0]))
    assert not loss.has_arrived
    assert loop.capture.copies._is_chosen(Candidate(10.0, loss, 0)) is None
    assert number_of(loss) == 2.0
    assert loss.has_arrived


def test_large_scores_are_reduced_on_the_device():
    """Class and confidence of each row are the same, and next to nothing is copied."""
    classes = 40_000
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(4, classes, generator=random) * 5
    loop = Loop()
    for scores in (logits, logits.softmax(dim=1)):
        pinned = loop.device.pinned_bytes
        assert scores.numel() * 4 > LARGE_ROWS_BYTES
        loop.batch(0.5, predictions=_reducing(loop.device, scores))
        assert loop.device.pinned_bytes - pinned <= 1 << 19
        loop.device.run()
        (call,) = loop.queue.take(1)
        confidences, best = logits.softmax(dim=1).max(dim=1)
        found = value_of(call.predictions)
        assert [class_ for class_, _ in found] == best.tolist()
        assert [confidence for _, confidence in found] == pytest.approx(
            confidences.tolist(), rel=1e-4
        )


def _reducing(device, scores):
    """Return scores on the device; what is computed from them there is on it, too."""
    holds = device.holds
    device.holds = lambda tensor: holds(tensor) or tensor.shape == scores.shape
    return device.put(scores)


def test_during_the_capture_of_a_graph_nothing_is_copied():
    """The batch is kept; what was not computed yet is left out and logged."""
    loop = Loop()
    loop.device.capturing = True
    loop.batch(loop.device.tensor([1.0]), loop.device.put(torch.zeros(4, 3, 8, 8)))

    (call,) = loop.queue.take(1)
    assert loop.device.work == []
    with pytest.raises(RuntimeError, match="replay"):
        number_of(call.loss)
    assert loop.left_out.of("images", Reason.CAPTURING) == 4


def test_without_pinned_memory_the_batch_is_kept():
    """What cannot be copied without waiting is left out and logged, and nothing raises."""
    loop = Loop()
    loop.device.has_memory = False
    loop.batch(loop.device.tensor([1.0]))

    (call,) = loop.queue.take(1)
    with pytest.raises(RuntimeError, match="pinned"):
        number_of(call.loss)


def test_many_numbers_of_a_device_arrive_together_as_they_were():
    """Scalars, step and tokens of one call are one transfer with one flag, and nobody waits for it."""
    loop = Loop()
    norms = [loop.device.tensor([0.0]) for _ in range(20)]
    tokens = loop.device.tensor([0], dtype=torch.int64)
    for step in range(50):
        for layer, norm in enumerate(norms):
            loop.device.then(lambda step=step, layer=layer, norm=norm: norm.fill_(step + layer))
        loop.device.then(lambda step=step: tokens.fill_(step))
        named = {f"layer {layer}": norm for layer, norm in enumerate(norms)}
        loop.capture.scalars(named, None, None, step)
        named.clear()
        loop.capture.batch(0.5, (None, None, None), tokens, None, None, None, None)
    assert loop.queue.take(1_000) == []

    loop.device.run()
    calls = loop.queue.take(1_000)
    assert [len(call.transfer._flags) for call in calls] == [1] * 100
    for step, (scalars, batch) in enumerate(zip(calls[::2], calls[1::2], strict=True)):
        values = [number_of(value) for value in scalars.values.values()]
        assert values == [step + layer for layer in range(20)]
        assert (batch.step, number_of(batch.tokens)) == (step, step)


@pytest.mark.parametrize("grad", [False, True])
def test_tensors_in_host_memory_are_read_at_the_call(grad):
    """Of every type; a graph of gradients is not kept alive."""
    bridge = RecordingBridge()
    weights = torch.ones(3, requires_grad=grad)
    with TrainingSession(bridge) as session:
        for step in range(5):
            loss = weights.sum() * step
            session.log_batch(loss, epoch=0, batch=step, predictions=torch.eye(3)[:2] * weights)
            session.log_scalars({"norm": weights.detach().norm(), "half": loss.to(torch.bfloat16)})
            with torch.no_grad():
                weights += 1

    assert [batch.loss for batch in bridge.batches] == [
        3.0 * step * (1 + step) for step in range(5)
    ]
    assert [scalars.values["norm"] for scalars in bridge.scalars] == pytest.approx(
        [math.sqrt(3) * (1 + step) for step in range(5)]
    )
    assert session.stats.faults == 0


def test_a_device_that_never_delivers_holds_up_nothing_for_good():
    """At the end the batch is sent without its loss, and those after it are sent."""
    bridge = RecordingBridge()
    session = TrainingSession(bridge)
    device = FakeDevice()
    session._capture._values = Values(DeviceCopies(device))
    session.log_batch(device.tensor([1.0]), epoch=0, batch=0)
    session.log_batch(0.5, epoch=0, batch=1)
    session.close(2.0)

    assert [batch.loss for batch in bridge.batches] == [None, 0.5]
    assert session.stats.left_out["loss: device"] == 1


def test_order_is_kept_while_a_device_is_behind():
    """Later calls wait for earlier ones, and all arrive when the device has done its work."""
    bridge = RecordingBridge()
    device = FakeDevice()
    with TrainingSession(bridge) as session:
        session._capture._values = Values(DeviceCopies(device))
        session.log_batch(device.tensor([1.0]), epoch=0, batch=0)
        session.log_batch(2.0, epoch=0, batch=1)
        assert session.flush(0.05) > 0
        device.run()
        until_true(lambda: session.flush(0.1) == 0)

    assert [batch.loss for batch in bridge.batches] == [1.0, 2.0]


def fake():
    """Return a tensor that has a shape and no values."""
    mode = pytest.importorskip("torch._subclasses.fake_tensor").FakeTensorMode
    with mode():
        return torch.ones(4, 3)


WITHOUT_VALUES = {
    "meta": lambda: torch.ones(4, 3, device="meta"),
    "fake": fake,
    "sparse": lambda: torch.eye(4).to_sparse(),
    "sparse by rows": lambda: torch.eye(4).to_sparse_csr(),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(3), torch.ones(2)]),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:The PyTorch API of nested")
@pytest.mark.parametrize("make", WITHOUT_VALUES.values(), ids=WITHOUT_VALUES)
def test_a_tensor_that_cannot_be_copied_is_refused_before_anything_is_read(make):
    """Only it is left out: the batch arrives, each argument is counted, and the log says what to give."""
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        value = make()
        session.log_batch(
            value, epoch=0, batch=0, images=value, predictions=value, ground_truth=value
        )
        session.log_batch(0.5, epoch=0, batch=1)

    assert [batch.loss for batch in bridge.batches] == [None, 0.5]
    assert session.stats.faults == 4
    assert session.stats.images_waiting == 0


class Picture(torch.Tensor):
    """A tensor of a user's own type, as torchvision's are."""


HOST_IMAGES = {
    "of a type of its own": lambda x: x.as_subclass(Picture),
    "a leaf with gradients": lambda x: x.requires_grad_(),
    "bfloat16": lambda x: x.to(torch.bfloat16),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "quantized": lambda x: torch.quantize_per_tensor(x, 1 / 255, 0, torch.quint8),
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "parameter": torch.nn.Parameter,
    "expanded": lambda x: x[:1].expand(4, -1, -1, -1),
}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("make", HOST_IMAGES.values(), ids=HOST_IMAGES)
@pytest.mark.parametrize("is_late", [False, True], ids=["host", "device"])
def test_images_of_every_type_of_tensor_arrive(make, is_late):
    """Also of types that NumPy needs more memory for than PyTorch; as one tensor, and as a list."""
    bridge = RecordingBridge()
    with LateDevice() as device, TrainingSession(bridge) as session:
        if is_late:
            session._capture._values = Values(DeviceCopies(device))
        images = make(torch.full((4, 3, 32, 32), 0.5))
        session.log_batch(torch.tensor(0.5), epoch=0, batch=0, images=images)
        session.log_batch(0.5, epoch=0, batch=1, images=list(images))
        session.flush()

    for batch in bridge.batches:
        assert batch.loss == 0.5
        assert [mean_of(image) for image in batch.images] == pytest.approx([128] * 4, abs=2)
    assert session.stats.faults == 0


def test_images_that_cannot_be_copied_are_counted_by_their_number():
    """Their shape is known, though their values are not."""
    with TrainingSession(RecordingBridge()) as session:
        session.log_batch(0.5, epoch=0, batch=0, images=torch.ones(4, 3, 8, 8).to_sparse())
        session.log_batch(0.5, epoch=0, batch=1, images=torch.ones(5, 3, 8, 8, device="meta"))

    assert session.stats.images_given == session.stats.images_unreadable == 9


def test_one_image_of_a_list_that_cannot_be_copied_costs_itself():
    """The others arrive, whatever kind of tensor it is."""
    bridge = RecordingBridge()
    images = [torch.full((3, 32, 32), 0.5) for _ in range(3)]
    images += [images[0].to_sparse(), torch.ones(3, 32, 32, device="meta")]
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0, images=images)

    assert len(bridge.batches[0].images) == 3
    assert session.stats.images_unreadable == 2


def mean_of(jpeg):
    """Return the mean of all pixels of a file."""
    return float(np.asarray(Image.open(io.BytesIO(jpeg))).mean())


def test_images_that_are_none_are_counted_as_given():
    """Images given = sent + left out, also where none of them could be read."""
    with TrainingSession(RecordingBridge()) as session:
        session.log_batch(0.5, epoch=0, batch=0, images=object())

    assert (session.stats.images_given, session.stats.images_unreadable) == (1, 1)
    assert session.stats.images_waiting == 0


def test_each_picture_of_a_list_has_its_channels_where_its_library_has_them():
    """Where both ends could be the channels, the picture decides, not its neighbours."""
    tall, wide = (3, 8), (8, 3)
    torchs, numpys = torch.zeros(3, 8, 3), np.zeros((3, 8, 3))
    lists = [
        ([torchs, numpys], [tall, wide]),
        ([numpys, torchs], [wide, tall]),
        ([None, torchs], [None, tall]),
        (
            [torch.zeros(1, 3, 8, 3), torch.zeros(3, 8, 8), torch.zeros(8, 8)],
            [tall, (8, 8), (8, 8)],
        ),
        ([jpeg(8, 6), torchs], [(8, 6), tall]),
    ]
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:
        for step, (images, _) in enumerate(lists):
            session.log_batch(0.5, epoch=0, batch=step, images=images)

    for batch, (_, sizes) in zip(bridge.batches, lists, strict=True):
        shown = [Image.open(BytesIO(image)).size if image else None for image in batch.images]
        assert shown == sizes


@pytest.mark.parametrize(
    "bad", [torch.eye(8).to_sparse(), torch.zeros(8, 8, device="meta")], ids=["sparse", "meta"]
)
def test_a_tensor_that_is_not_a_picture_costs_itself(bad):
    """One that has no size, or no values, does not affect its neighbours."""
    bridge = RecordingBridge()
    images = [torch.zeros(8, 8), bad, torch.zeros(8, 8)]
    with TrainingSession(bridge) as session:
        session.log_batch(0.5, epoch=0, batch=0, images=images)

    assert [bool(image) for image in bridge.batches[0].images] == [True, False, True]
    assert session.stats.images_unreadable == 1


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("split", [lambda rows: rows.unbind(0), lambda rows: rows.split(1)])
@pytest.mark.parametrize("classes", [20, 40_000])
def test_two_rows_of_a_device_are_two_rows(on_device, split, classes):
    """Whole, on host or device: `unbind` and `split` of scores of two samples."""
    scores = torch.randn(2, classes, generator=torch.Generator().manual_seed(1))
    scores[0, 17], scores[1, 19] = 90.0, 80.0
    loop = Loop()
    parts = split(scores)
    loop.batch(0.5, predictions=tuple(map(loop.device.put, parts)) if on_device else parts)
    loop.device.run()

    (call,) = loop.queue.take(1)
    found = predictions_of(value_of(call.predictions), 16)
    assert [number for number, _ in found] == [17, 19]
    assert [confidence for _, confidence in found] == pytest.approx([1.0, 1.0])
    assert call.counted == 2


@pytest.mark.parametrize("kind", [torch.float32, torch.int64])
def test_the_best_of_whole_scores_are_classes_too(kind):
    """`max` and `topk` of integer scores return two tensors of integers: the second are the classes."""
    scores = torch.tensor([[1, 5, 3]] * 20, dtype=kind)
    loop = Loop()
    loop.batch(0.5, predictions=scores.max(1))
    loop.batch(0.5, predictions=scores.topk(2))

    for call in loop.queue.take(2):
        assert predictions_of(value_of(call.predictions), 16) == [(1, 0.0)] * 16
        assert call.counted == 20
