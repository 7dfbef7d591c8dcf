"""Real training with each framework, in an environment that has it: `make test-frameworks`."""

import os
import threading

import pytest
from support.bridges import running_bridge
from support.fake_bridge import FakeBridge, serving
from support.waiting import until_true

from bridge.client.process_hooks import registered

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pytest_collection_modifyitems(items):
    """Frameworks warn of much; only what our own modules warn of counts here."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore"), append=False)
        item.add_marker(pytest.mark.filterwarnings("error:::bridge"), append=False)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    """Neither a session nor a thread of the SDK outlives its test."""
    yield
    assert registered() == ()
    until_true(lambda: not [t for t in threading.enumerate() if t.name.startswith("trainbridge")])


@pytest.fixture
def bridge():
    """Yield a bridge that records over real gRPC."""
    with serving(FakeBridge()) as fake:
        yield fake


@pytest.fixture(scope="session")
def real_bridge(tmp_path_factory):
    """Yield a bridge in a process of its own."""
    with running_bridge(tmp_path_factory.mktemp("bridge") / "state") as running:
        yield running
