"""The live panel of a session: drawn by a thread of its own, at most once a second."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from bridge.client.encoding.isolation import let_through
from bridge.client.identity import RunConfig
from bridge.client.left_out import error_text
from bridge.client.notebook.html import html, plain_text
from bridge.client.notebook.kernel import kernel_display
from bridge.client.notebook.progress import Progress
from bridge.client.notebook.view import Observer, PanelView
from bridge.client.process_hooks import is_registered
from bridge.client.runtime import Runtime

log = logging.getLogger("trainbridge")

REFRESH_SECONDS = 1.0
END_SECONDS = 1.0
"""How long the end of a session waits for a drawing that has begun."""


class Canvas(Protocol):
    """Shows something in place of what it showed before."""

    def show(self, html: str, text: str) -> None:
        """Show this."""


def open_panel(runtime: Runtime, config: RunConfig) -> "Panel | None":
    """Show a session that reports in the notebook that makes it; None where there is no notebook, or it is silent."""
    try:
        display = kernel_display()
        if display is None or not is_registered(runtime):
            return None
        progress = Progress(config)
        observer = Observer(progress, runtime.transport, runtime.commands)
        runtime.collector.observe(progress)
        panel = Panel(
            display,
            lambda: observer.view(runtime.stats(), is_over=not is_registered(runtime)),
            is_running=lambda: is_registered(runtime),
        )
    except BaseException as error:  # noqa: BLE001 -- whatever a front end raises, training goes on
        let_through(error)
        log.warning("no panel is shown in the notebook: %s", error_text(error))
        return None
    panel.open()
    return panel


class Panel:
    """Draws a session until it ends, and then once more."""

    def __init__(
        self, display: Canvas, view: Callable[[], PanelView], *, is_running: Callable[[], bool]
    ) -> None:
        """Draw nothing yet; `view` returns what there is to show."""
        self._display = display
        self._view = view
        self._is_running = is_running
        self._ended = threading.Event()
        self._drawing = threading.Lock()
        self._is_final = False
        self._shown: PanelView | None = None
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="trainbridge-panel", daemon=True)

    def open(self) -> None:
        """Draw for the first time, below the cell that runs, and go on in a thread."""
        if self._draw():
            with suppress(RuntimeError):  # no thread can be started: what is drawn stays as it is
                self._thread.start()

    def end(self) -> None:
        """Have the thread draw what the session has come to, and never again: a front end may take nothing."""
        if self._process != os.getpid():
            return  # a fork: the notebook belongs to its parent
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._ended.wait(REFRESH_SECONDS) and self._is_running():
            if not self._draw():
                return
        self._draw(is_final=True)

    def _draw(self, *, is_final: bool = False) -> bool:
        """Draw where something has changed; return whether that is worth trying again."""
        if not self._drawing.acquire(timeout=END_SECONDS):
            return False  # the front end takes nothing
        try:
            if self._is_final:
                return False
            self._is_final = is_final
            view = self._view()
            if view != self._shown:
                self._display.show(html(view), plain_text(view))
                self._shown = view
        except BaseException as error:  # noqa: BLE001 -- whatever a front end raises, training goes on
            let_through(error)
            self._is_final = True
            log.warning("the panel in the notebook is no longer drawn: %s", error_text(error))
            return False
        finally:
            self._drawing.release()
        return True
