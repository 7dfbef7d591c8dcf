"""Copies are made by the device itself, in the order of the loop's work; nobody waits for them."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402 -- only where PyTorch is there
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.fake_device import FakeDevice  # noqa: E402

from bridge.client.capture.device import (  # noqa: E402
    CapturingError,
    CudaCopier,
    DeviceCopies,
    widened,
)


@pytest.fixture
def device():
    """Return a device that does nothing yet."""
    return FakeDevice()


@pytest.fixture
def copies(device):
    """Return memory that the device copies to."""
    return DeviceCopies(device)


def landed(copies, *tensors):
    """Have tensors copied as one call does."""
    landing = copies.begin()
    arrays = [landing.add(tensor) for tensor in tensors]
    landing.seal()
    return landing, arrays


def test_what_arrives_is_what_was_there_in_the_order_of_the_work(device, copies):
    """A buffer that the loop overwrites behind the call is copied before that, though nothing has run yet."""
    buffer = device.tensor([0.0])
    landings = []
    for step in range(100):
        device.then(lambda step=step: buffer.fill_(step))
        landings.append(landed(copies, buffer))
    device.then(lambda: buffer.fill_(-1.0))

    device.run()

    assert [float(array.array[0]) for _, (array,) in landings] == list(range(100))


def test_nothing_has_arrived_before_the_device_has_copied_it(device, copies):
    """The flag is set behind everything it stands for, and stays set once it has been seen."""
    landing, arrays = landed(copies, device.tensor([1.0, 2.0]), device.tensor([3]))

    while device.work:
        assert not landing.has_arrived
        device.run(1)

    assert landing.has_arrived
    assert [array.array.tolist() for array in arrays] == [[1.0, 2.0], [3.0]]


def test_memory_is_used_again_and_never_before_it_has_arrived(device, copies):
    """Pinned memory does not grow with the calls; what is given up too early is never written to twice."""
    tensor = device.tensor([1.0] * 1_000)
    for step in range(50):
        device.then(lambda step=step: tensor.fill_(step))
        landing, (array,) = landed(copies, tensor)
        device.run()
        assert array.array[0] == step
        landing.release()
    pinned = device.pinned_bytes
    landing, (late,) = landed(copies, tensor)
    landing.release()  # though it has not arrived
    other, _ = landed(copies, device.tensor([7.0] * 1_000))
    device.run()

    assert pinned < 1 << 20
    assert late.array[0] == 49
    assert other.has_arrived


def test_images_are_given_back_apart_from_the_rest(device, copies):
    """A batch whose images are not wanted gives their memory back while its loss is still needed."""
    landing = copies.begin()
    loss = landing.add(device.tensor([0.5]))
    images = landing.add(device.tensor([1.0] * 5_000), is_separate=True)
    landing.seal()
    device.run()
    images.release()
    again, (other,) = landed(copies, device.tensor([2.0] * 5_000))
    device.run()

    assert np.shares_memory(other.array, images.array)
    assert loss.array[0] == 0.5
    again.release()
    landing.release()


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: x.transpose(1, 3),
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x[:, ::2],
        lambda x: x[0, 0, 0, 0],
        lambda x: x[:0],
        lambda x: x[:, :1].expand(-1, 5, -1, -1),
        lambda x: x.to(torch.bfloat16),
        lambda x: x.to(torch.float16),
        lambda x: x.to(torch.int64),
        lambda x: x > 20,
    ],
)
def test_any_layout_and_type_arrives(device, copies, make):
    """Transposed, strided, expanded, empty, and in every type that NumPy has, or bfloat16."""
    tensor = make(torch.arange(2 * 4 * 3 * 6, dtype=torch.float32).reshape(2, 4, 3, 6))
    _, (array,) = landed(copies, device.put(tensor))
    device.run()

    expected = tensor.float().numpy() if tensor.dtype is torch.bfloat16 else tensor.numpy()
    assert array.array.dtype == expected.dtype
    assert np.array_equal(array.array, expected)


@given(st.lists(st.floats(width=16), min_size=1, max_size=20))
def test_bfloat16_is_widened_exactly(numbers):
    """Its bits are the upper half of a float32's."""
    tensor = torch.tensor(numbers).to(torch.bfloat16)

    wide = widened(tensor.view(torch.int16).numpy())

    assert np.array_equal(wide, tensor.float().numpy(), equal_nan=True)


def test_nothing_is_copied_while_a_graph_is_captured(device, copies):
    """The copy would be part of the graph, and nothing has been computed yet."""
    device.capturing = True

    with pytest.raises(CapturingError, match=r"replay\(\)"):
        copies.begin()
    assert device.work == []


def test_the_cuda_copier_takes_nothing_from_the_host():
    """Where there is no GPU, a tensor in host memory is not on one, and PyTorch's CUDA is not touched."""
    assert not CudaCopier().holds(torch.zeros(1))
    assert not torch.cuda.is_initialized()
