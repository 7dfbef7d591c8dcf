"""The page has what prometheus_client reads of the process of this bridge."""

import time

import pytest
from support.series import OPENMETRICS, Scene

from bridge.sinks.metrics.process import process_series


def test_memory_processor_and_descriptors_are_those_of_this_process():
    """Whoever sees a bridge grow need not ask its machine."""
    scene = Scene()

    assert scene.value("process_resident_memory_bytes") > 2**20
    assert scene.value("process_cpu_seconds_total") > 0
    assert 0 < scene.value("process_start_time_seconds") <= time.time()
    assert 0 < scene.value("process_open_fds") < scene.value("process_max_fds")


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_they_stand_before_the_end_of_the_page(accept):
    """A page ends once, and the bridge's own series follow."""
    page = Scene().page(accept)

    assert page.index("process_cpu_seconds_total ") < page.index("bridge_build_info{")
    assert page.count("# EOF") == (1 if accept else 0)


@pytest.mark.parametrize("is_openmetrics", [True, False])
async def test_a_system_without_proc_has_none(is_openmetrics, monkeypatch):
    """They are absent there, and the page is whole."""
    monkeypatch.setattr("bridge.sinks.metrics.process.REGISTRY", EmptyRegistry())

    assert await process_series(is_openmetrics=is_openmetrics) == b""


class EmptyRegistry:
    """A registry as it is where there is no /proc."""

    def collect(self):
        """Return no family."""
        return []
