"""What holds for every test with real servers."""

import threading

import pytest
from support.raw_loops import Loop, PreemptedLoop


@pytest.fixture(autouse=True)
def _no_loop_outlives_its_test():
    """One that went on looking for its bridge would sooner or later find another test's at the same port."""
    yield
    left = [thread for thread in threading.enumerate() if isinstance(thread, Loop | PreemptedLoop)]
    assert not left
