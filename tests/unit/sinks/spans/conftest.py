"""What the tests of spans share."""

import pytest
from support.spans import World


@pytest.fixture
def world(tmp_path):
    """A bridge as far as spans go."""
    world = World(tmp_path)
    yield world
    world.close()
