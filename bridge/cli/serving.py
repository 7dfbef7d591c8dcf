"""`trainbridge serve`."""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from bridge import __version__
from bridge.addresses import split_address, url_of
from bridge.cli.arguments import write_ports_file
from bridge.cli.exit_status import FAILED, MISUSED
from bridge.errors import BridgeError, SettingError

log = logging.getLogger("bridge")

ECHO_SECONDS = 0.5
"""A signal that follows this soon is the first one once more: `timeout` and some shells signal the process and its group."""

FORCED_EXIT_SECONDS = 2.0
"""The process is gone so long after the second signal, or after its grace, whatever it was doing."""


class Addresses(Protocol):
    """Where a bridge listens."""

    @property
    def grpc(self) -> str:
        """host:port of the gRPC server."""

    @property
    def http(self) -> str:
        """host:port of the HTTP server."""


Run = Callable[[Any, asyncio.Event, Callable[[Addresses], None]], Awaitable[None]]
"""Runs a bridge with these settings until the event is set; calls the function when it is ready."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting."""
    # The settings come with the [server] extra; the other commands do without.
    from bridge.cli.flags import add_settings  # noqa: PLC0415

    add_settings(parser)


def serve(arguments: argparse.Namespace, run: Run | None = None) -> int:
    """Run a bridge until a signal arrives, and return the exit status; tests replace `run`.

    Whatever is wrong is logged, in the format that was chosen for the log.
    """
    from bridge import logs  # noqa: PLC0415
    from bridge.cli.flags import given  # noqa: PLC0415
    from bridge.config import chosen_log_format, load  # noqa: PLC0415

    flags = given(arguments)
    try:
        loaded = load(flags)
    except SettingError as error:
        logs.configure(format=chosen_log_format(flags))
        return _fail(MISUSED, "the bridge cannot start", *str(error).splitlines())
    settings = loaded.settings
    logs.configure(settings.log_level, settings.log_format)
    for warning in loaded.warnings:
        log.warning(warning)
    silence_grpc()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_until_stopped(run or _service(), settings))
    except (BridgeError, OSError) as error:
        # The settings are valid, but not on this machine at this moment: a port in use, a full disk.
        return _fail(FAILED, "the bridge cannot run", _sentence(error))
    except ModuleNotFoundError:
        raise  # the extra with it is named where the command was chosen
    except Exception:
        log.exception("the bridge cannot run: this is a fault of trainbridge, please report it")
        return FAILED


def _fail(status: int, what: str, *errors: str) -> int:
    for error in errors:
        log.error(what, extra={"fields": {"error": error}})
    return status


def _sentence(error: Exception) -> str:
    """Return what is wrong; an error of the operating system names the file that it is about."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def silence_grpc() -> None:
    """Keep gRPC's C core from writing lines of its own between ours: its errors arrive as exceptions too."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


async def _until_stopped(run: Run, settings: Any) -> int:
    stopping = asyncio.Event()
    task = asyncio.ensure_future(run(settings, stopping, lambda bound: _ready(bound, settings)))
    _listen_for_signals(stopping, task, settings.shutdown_grace_seconds)
    try:
        await task
    except asyncio.CancelledError:
        log.warning("stopped at once: a second signal came")
        return FAILED
    return 0


def _listen_for_signals(
    stopping: asyncio.Event,
    task: "asyncio.Future[None]",
    grace_seconds: float,
) -> None:
    """Stop at the first signal, at once at the second.

    The timers end with the process, and not before: what holds up its end comes after that of the loop.
    """
    loop = asyncio.get_running_loop()
    first_at = 0.0

    def stop(number: signal.Signals) -> None:
        nonlocal first_at
        if not stopping.is_set():
            log.info("stopping", extra={"fields": {"signal": number.name}})
            stopping.set()
            first_at = loop.time()
            _call_later(grace_seconds + FORCED_EXIT_SECONDS, _exit_without_stopping)
        elif loop.time() - first_at > ECHO_SECONDS:
            task.cancel()
            _call_later(FORCED_EXIT_SECONDS, os._exit, 128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        # On Windows, where Ctrl-C raises KeyboardInterrupt instead.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop, number)


def _exit_without_stopping() -> None:
    """Exit from a stop that hangs, perhaps on an unresponsive disk; nothing acknowledged is lost."""
    log.error("the stop took longer than shutdown_grace_seconds: exiting without it")
    logging.shutdown()
    os._exit(FAILED)


def _call_later(
    seconds: float, function: Callable[..., object], *arguments: object
) -> threading.Timer:
    """Call a function from a timer thread, since the loop may have ended while Python waits for a thread."""
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()
    return timer


def _ready(bound: Addresses, settings: Any) -> None:
    log.info(
        "ready", extra={"fields": {"grpc": bound.grpc, "http": bound.http, "version": __version__}}
    )
    if settings.ports_file is not None:
        ports = {"grpc": split_address(bound.grpc)[1], "http": split_address(bound.http)[1]}
        write_ports_file(settings.ports_file, **ports)
    if sys.stdout.isatty():
        url = url_of(bound.http, is_secure=settings.http_tls_cert_file is not None)
        training = bound.grpc if settings.tls_cert_file is None else f"grpcs://{bound.grpc}"
        sys.stdout.write(
            f"\n  trainbridge {__version__} is ready. Ctrl-C stops it.\n\n"
            f"  open in a browser      {url}\n"
            f"  let Prometheus scrape  {url}/metrics\n"
            f"  let training connect   {training}\n\n"
        )
        sys.stdout.flush()


def _service() -> Run:
    """Import the bridge without collections: what is imported stays, and they need not look through it then or ever."""
    gc.disable()
    try:
        from bridge.service import run  # noqa: PLC0415
    finally:
        gc.freeze()
        gc.enable()
    return run


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed: it takes a fifth less time per message."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
