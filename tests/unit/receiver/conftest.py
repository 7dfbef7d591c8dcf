"""What the tests of the receiver share."""

import pytest
from support.receiver import Bridge


@pytest.fixture
async def bridge(tmp_path):
    """Return a running receiver; its stub is `bridge.stub`."""
    bridge = Bridge(tmp_path)
    async with bridge.running() as bridge.stub:
        yield bridge
