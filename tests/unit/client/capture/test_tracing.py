"""A loop whose step is compiled together with its calls of the SDK."""

import pytest

torch = pytest.importorskip("torch")

from bridge.client import TrainingSession  # noqa: E402 -- only where PyTorch is there
from bridge.client.capture import capture  # noqa: E402
from bridge.client.capture.tracing import is_traced  # noqa: E402
from bridge.client.testing import RecordingBridge  # noqa: E402


@pytest.fixture
def _fresh():
    """Forget what other tests have compiled."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_fresh")
@pytest.mark.filterwarnings("ignore")
def test_calls_inside_a_compiled_function_are_made_for_real(monkeypatch):
    """What arrives is what each step computed, and none of the SDK's copies becomes part of the graph."""
    seen = []
    make = capture.BatchCall
    monkeypatch.setattr(
        capture, "BatchCall", lambda *parts: seen.append(is_traced()) or make(*parts)
    )
    bridge = RecordingBridge()
    with TrainingSession(bridge) as session:

        @torch.compile(backend="eager")
        def step(x, index):
            loss = (x * x).sum()
            session.log_batch(loss, epoch=0, batch=index, predictions=x)
            session.log_scalars({"norm": x.norm()})
            session.log_epoch(index, loss=loss)
            return loss + 1

        for index in range(5):
            step(torch.tensor([[0.0, float(index)]]), index)

    assert [batch.loss for batch in bridge.batches] == [float(index**2) for index in range(5)]
    assert [scalars.values["norm"] for scalars in bridge.scalars] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [epoch.loss for epoch in bridge.epochs] == [float(index**2) for index in range(5)]
    assert seen == [False] * 5
    assert session.stats.faults == 0


@pytest.mark.usefixtures("_fresh")
@pytest.mark.filterwarnings("ignore")
def test_calls_compile_nothing_again():
    """Neither the step nor how many calls wait: beyond a limit the compiler leaves the whole function to Python."""
    bridge = RecordingBridge()
    session = TrainingSession(bridge)

    @torch.compile(backend="eager")
    def step(x):
        loss = (x * x).sum()
        session.log_batch(loss, tokens=5)
        session.log_scalars({"norm": x.norm()})
        session.event("step", loss=loss)
        return loss + 1

    with torch._dynamo.config.patch(recompile_limit=4, fail_on_recompile_limit_hit=True):
        for index in range(12):
            step(torch.tensor([[0.0, float(index)]]))
            session.flush(10 * (index % 2))

    session.close()
    assert [batch.step for batch in bridge.batches] == list(range(12))
    assert len(bridge.scalars) == len(bridge.events) == 12


def test_nothing_is_traced_without_a_compiler():
    """Outside a compiled function a call proceeds as usual."""
    assert not is_traced()
