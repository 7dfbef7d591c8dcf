"""What holds for every test."""

import logging
import os
import signal

import pytest
from hypothesis import HealthCheck, settings
from support import outlook, surroundings
from support.bridges import FOREIGN

SURROUNDINGS = pytest.StashKey()

# How fast a machine is decides nothing here.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A shell that starts the tests in the background has them ignore Ctrl-C, nohup a lost terminal; programs inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def _plain_environment():
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(FOREIGN):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def postgres_server():
    """Yield a PostgreSQL for all tests; one that makes its server fail runs another: `running_postgres`."""
    from support.postgres import running_postgres  # noqa: PLC0415 - environments of frameworks lack its libraries

    with running_postgres(
        fsync="off"
    ) as server:  # its databases outlive nothing, least of all a power cut
        yield server


@pytest.fixture(scope="session")
def made_tables(postgres_server):
    """Yield the name of a database with the tables, made once: a copy of it takes a fraction of making them."""
    from support.shared_database import make_tables  # noqa: PLC0415 - see above

    with postgres_server.database() as url:
        make_tables(url)
        yield url.rpartition("/")[2]


@pytest.fixture
def postgres_url(postgres_server, made_tables):
    """Yield the URL of a database of the test's own, with the tables in it."""
    with postgres_server.database(made_tables) as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server):
    """Yield the URL of a database of the test's own that holds nothing."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def kept_logging():
    """Give back the logging of the test run."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def pytest_configure(config):
    """Nothing outside this checkout is left behind."""
    config.stash[SURROUNDINGS] = surroundings.enter()


def pytest_unconfigure(config):
    """Remove the one folder; --basetemp keeps the files of tests in another one."""
    surroundings.remove(config.stash[SURROUNDINGS])


def pytest_report_header(config):
    """Where all tests are to run, say how long that takes, and what is left out."""
    is_whole = config.args_source is not config.ArgsSource.ARGS
    return outlook.lines() if is_whole and not config.option.keyword else []


def pytest_sessionfinish(session, exitstatus):
    """In CI a skipped test is a failed run: nothing is left out there without being noticed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter.stats.get("skipped") and exitstatus == pytest.ExitCode.OK:
        reporter.write_line("Tests were skipped, which CI does not allow.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
