"""Builds the image once for all checks, and reports what it came to."""

import pytest
from image.built import build

FIGURES = pytest.StashKey[dict[str, str]]()


def pytest_configure(config):
    """Begin with nothing measured."""
    config.stash[FIGURES] = {}


@pytest.fixture(scope="session")
def figures(request):
    """Return what is reported at the end of the run, by its name."""
    return request.config.stash[FIGURES]


@pytest.fixture(scope="session")
def built(figures, tmp_path_factory):
    """Return the image, built from the Dockerfile as it is."""
    return build(tmp_path_factory.mktemp("pip"), figures)


def pytest_terminal_summary(terminalreporter, config):
    """Tell the figures, if any."""
    if config.stash[FIGURES]:
        terminalreporter.section("the image")
        for name, figure in config.stash[FIGURES].items():
            terminalreporter.write_line(f"{name}: {figure}")
