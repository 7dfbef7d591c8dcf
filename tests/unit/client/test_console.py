"""A warning on a console says whose it is."""

import logging
import sys

import pytest

from bridge.client.console import Console, attach, log


@pytest.fixture
def logger():
    """Return a logger of a program that has configured none."""
    one = logging.Logger("alone")  # noqa: LOG001 -- below no other
    one.addHandler(Console(one))
    return one


def test_a_warning_names_the_sdk(logger, capsys):
    """It stands among those of frameworks and of the loop itself."""
    logger.info("streams")
    logger.warning("no connection to %s", "x")

    assert capsys.readouterr().err == "trainbridge: no connection to x\n"


def test_a_program_with_a_log_of_its_own_gets_it_there_alone(logger, capsys):
    """At the logger itself, or at any above it that it passes records on to."""
    logger.parent = logging.Logger("root")  # noqa: LOG001 -- not pytest's
    logger.parent.addHandler(logging.NullHandler())
    logger.warning("once")
    logger.propagate = False
    logger.warning("twice")
    logger.addHandler(logging.NullHandler())
    logger.warning("thrice")

    assert capsys.readouterr().err == "trainbridge: twice\n"


def test_who_has_switched_off_the_last_resort_hears_nothing(logger, capsys, monkeypatch):
    """The same switch as Python's."""
    monkeypatch.setattr(logging, "lastResort", None)
    logger.warning("hello")

    assert capsys.readouterr().err == ""


def test_a_console_that_is_gone_raises_nothing(logger, monkeypatch):
    """Closed, or never there, as in a service."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    for stream in (None, open_and_closed()):
        monkeypatch.setattr(sys, "stderr", stream)
        logger.warning("hello")


def open_and_closed():
    """Return a stream that takes nothing any more."""
    stream = open("/dev/null", "w")  # noqa: PTH123, SIM115 -- closed at once
    stream.close()
    return stream


def test_it_is_attached_once():
    """However often it is asked for."""
    attach()
    attach()

    assert sum(isinstance(handler, Console) for handler in log.handlers) == 1
