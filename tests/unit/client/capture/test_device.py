"""The device makes copies itself, in the order of the loop's work; no thread waits for them."""

import gc
import weakref

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
    NoPinnedMemoryError,
    keep_for_good,
)
from bridge.client.capture.tensors import plain, widened  # noqa: E402


@pytest.fixture
def device():
    """Return a device that does nothing yet."""
    return FakeDevice()


@pytest.fixture
def copies(device):
    """Return the memory that the device copies to."""
    return DeviceCopies(device)


def transferred(copies, *tensors):
    """Enqueue copies of tensors as one call does."""
    transfer = copies.begin()
    arrays = [transfer.add(tensor) for tensor in tensors]
    transfer.seal()
    return transfer, arrays


def test_what_arrives_is_what_was_there_in_the_order_of_the_work(device, copies):
    """A buffer that the loop overwrites after the call is copied before that, though nothing has run yet."""
    buffer = device.tensor([0.0])
    transfers = []
    for step in range(100):
        device.then(lambda step=step: buffer.fill_(step))
        transfers.append(transferred(copies, buffer))
    device.then(lambda: buffer.fill_(-1.0))

    device.run()

    assert [float(array.array[0]) for _, (array,) in transfers] == list(range(100))


def test_nothing_has_arrived_before_the_device_has_copied_it(device, copies):
    """The flag is set after all copies that it stands for, and stays set once it has been read."""
    transfer, arrays = transferred(copies, device.tensor([1.0, 2.0]), device.tensor([3]))

    while device.work:
        assert not transfer.has_arrived
        device.run(1)

    assert transfer.has_arrived
    assert [array.array.tolist() for array in arrays] == [[1.0, 2.0], [3.0]]


def test_memory_is_reused_and_never_before_its_copy_has_arrived(device, copies):
    """Pinned memory does not grow with the calls; what is released too early is never written to twice."""
    tensor = device.tensor([1.0] * 1_000)
    for step in range(50):
        device.then(lambda step=step: tensor.fill_(step))
        transfer, (array,) = transferred(copies, tensor)
        device.run()
        assert array.array[0] == step
        transfer.release()
    pinned = device.pinned_bytes
    transfer, (late,) = transferred(copies, tensor)
    transfer.release()  # though it has not arrived
    other, _ = transferred(copies, device.tensor([7.0] * 1_000))
    device.run()

    assert pinned < 1 << 20
    assert late.array[0] == 49
    assert other.has_arrived


def test_images_are_given_back_apart_from_the_rest(device, copies):
    """The images of a batch are released when they are not wanted, while its loss is still needed."""
    transfer = copies.begin()
    loss = transfer.add(device.tensor([0.5]))
    images = transfer.add(device.tensor([1.0] * 5_000), is_separate=True)
    transfer.seal()
    device.run()
    images.release()
    again, (other,) = transferred(copies, device.tensor([2.0] * 5_000))
    device.run()

    assert np.shares_memory(other.array, images.array)
    assert loss.array[0] == 0.5
    again.release()
    transfer.release()


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
    _, (array,) = transferred(copies, device.put(tensor))
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


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_memory_taken_in_one_mode_serves_in_every_other(device, copies, mode):
    """A validation pass in inference mode comes first; tensors made there cannot be written to outside."""
    tensor = device.tensor([1.0] * 5_000)  # large enough for a block that the next call gets again
    with mode():
        transfer, _ = transferred(copies, tensor)
        device.run()
        transfer.release()
    for value in (2.0, 3.0):
        tensor.fill_(value)
        transfer, (array,) = transferred(copies, tensor)
        device.run()

        assert array.array[0] == value
        transfer.release()


def test_a_mode_that_gives_no_memory_costs_the_value_only(device, copies):
    """Tensors without memory are never kept for later calls."""
    mode = pytest.importorskip("torch._subclasses.fake_tensor").FakeTensorMode
    tensor = device.tensor([1.0])
    with mode(allow_non_fake_inputs=True), pytest.raises(NoPinnedMemoryError):
        transferred(copies, tensor)
    _, (array,) = transferred(copies, tensor)
    device.run()

    assert array.array[0] == 1.0


def test_a_negated_view_is_resolved_before_it_is_copied():
    """PyTorch would copy the memory as it is and negate the copy at once, before it has arrived."""
    view = torch.tensor([1 + 2j]).conj().imag
    assert view.is_neg()

    assert not plain(view).is_neg()
    assert plain(view).tolist() == [-2.0]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.to(torch.float8_e4m3fn),
        lambda x: x.to(torch.float8_e5m2),
        lambda x: torch.quantize_per_tensor(x, 0.5, 0, torch.quint8),
    ],
)
def test_a_type_that_numpy_lacks_is_widened_on_the_device(device, copies, make):
    """The number is the same as on the host."""
    _, (array,) = transferred(copies, make(torch.tensor([1.0, 0.5])))
    device.run()

    assert array.array.tolist() == [1.0, 0.5]


def test_a_complex_number_is_refused_in_words(copies, device):
    """Only the loop knows which of its parts is meant; no memory is leaked."""
    for _ in range(3):
        with pytest.raises(TypeError, match="real part"):
            transferred(copies, device.put(torch.ones(2, dtype=torch.complex64)))
    assert device.pinned_bytes == 0


def test_memory_given_up_early_is_used_again_once_it_has_arrived(device, copies):
    """A session that ends while its device is behind does not affect the next one."""
    tensor = device.tensor([1.0] * 5_000)
    for _ in range(20):
        transfer, _ = transferred(copies, tensor)
        transfer.release()
        device.run()

    assert device.pinned_bytes < 1 << 18


def test_images_of_ever_new_sizes_share_memory(device, copies):
    """A loop whose pictures differ in size pins little more than twice its largest, not one block a size."""
    for side in range(8, 800, 8):
        transfer, (array,) = transferred(
            copies, device.put(torch.full((3, side, side), float(side)))
        )
        device.run()
        assert array.array[0, 0, 0] == side
        transfer.release()

    assert device.pinned_bytes < 20 << 20


def test_a_copy_that_fails_leaves_nothing_behind(device, copies):
    """Its memory is used by the next one, which arrives."""
    copy, device.copy = device.copy, lambda target, source: 1 / 0
    transfer = copies.begin()
    with pytest.raises(ZeroDivisionError):
        transfer.add(device.tensor([1.0]))
    device.copy = copy
    array = transfer.add(device.tensor([2.0]))
    transfer.seal()
    assert not transfer.has_arrived
    device.run()

    assert transfer.has_arrived
    assert array.array[0] == 2.0


def test_copies_that_fail_again_and_again_pin_nothing_more(device, copies):
    """A loop may give the same impossible tensor at every step."""
    tensor = device.tensor([1.0])

    def failing(target, source):
        if target.dtype is torch.float32:
            raise RuntimeError("not inside of vmap")
        target.copy_(source)

    device.copy = failing
    for _ in range(3_000):
        transfer = copies.begin()
        with pytest.raises(RuntimeError):
            transfer.add(tensor)
        transfer.seal()
        transfer.release()

    assert device.pinned_bytes < 1 << 20


def test_a_device_that_breaks_at_the_end_of_a_call_delivers_nothing(device, copies):
    """Nothing raises, and nothing is read that was not written."""
    transfer = copies.begin()
    transfer.add(device.tensor([1.0]))

    def broken(target, source):
        raise RuntimeError("unspecified launch failure")

    device.copy = broken
    transfer.seal()

    assert not transfer.has_arrived


def test_pinned_memory_is_never_freed():
    """Freeing it calls CUDA, which ends the process in a forked child or after a failed kernel."""
    tensor = torch.zeros(1)
    alive = weakref.ref(tensor)
    keep_for_good(tensor)
    del tensor
    gc.collect()

    assert alive() is not None


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
