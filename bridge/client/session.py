"""One training run as its loop sees it: made, commanded and ended."""

import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from bridge import __version__
from bridge.client import console, process_hooks
from bridge.client.agreement import Agreement
from bridge.client.arguments import (
    bytes_of,
    client_text,
    duration_of,
    labels_of,
    read_argument,
    resume_point,
    run_config,
    seconds_of,
)
from bridge.client.clock import now_ms
from bridge.client.delivery.transport import InProcessBridge
from bridge.client.identity import Identity, RunConfig
from bridge.client.launch.membership import NO_RUN, join_run
from bridge.client.left_out import LeftOut
from bridge.client.notebook.panel import open_panel
from bridge.client.options import Options
from bridge.client.own_gpus import Gpus
from bridge.client.pause import Pause
from bridge.client.ranks import RankCheck
from bridge.client.run_names import rank_labels, run_name
from bridge.client.run_values import config_json
from bridge.client.runtime import Runtime
from bridge.client.settings import Destination, Ranks, destination, spool_location
from bridge.client.stable_names import stable_name
from bridge.client.stats import Stats
from bridge.client.tracking import Tracking

BUFFER_BYTES = 64 << 20
CLOSE_SECONDS = 10.0
CLIENT_NAME = "trainbridge-python"

console.attach()

_PARTS = frozenset(
    {
        *("_rank", "_runtime", "_gate", "_capture", "_phases"),
        *("_commands", "_callbacks", "_pause", "_agreement", "_current_rate"),
        *("_place", "_logged_epoch", "_panel"),
    }
)
"""Attributes of a session that its copies have their own of."""

_COPIED = "trainbridge session"
"""What a copy is made of, in its state; no attribute has such a name."""


class TrainingSession(Tracking):
    """One training run, reported to a bridge while it goes on.

    Nothing here waits for the bridge or raises, once constructed: what the loop reports is kept and sent
    by threads of the SDK's own. What arrives is what was true at the call, whatever the loop overwrites
    afterwards: what will be sent is copied at the call, and by the GPU itself where it lies on one. Calls
    of one session come from one thread at a time.
    """

    def __init__(  # noqa: PLR0913 -- each is one thing to say about a run, and all have defaults
        self,
        address: str | InProcessBridge | None = "",
        *,
        model: str = "",
        dataset: str = "",
        epochs: int | None = 0,
        batches_per_epoch: int | None = 0,
        steps: int | None = 0,
        batch_size: int | None = 0,
        class_names: Iterable[str] | Mapping[int, str] | Mapping[str, int] | None = (),
        session_id: str | None = "",
        resume_from: tuple[int, int] | None = None,
        resume_step: int | None = None,
        labels: Mapping[str, str] | None = None,
        config: Any = None,
        client_name: str = CLIENT_NAME,
        client_version: str = __version__,
        buffer_bytes: int = BUFFER_BYTES,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_bytes: int = 0,
        close_seconds: float = CLOSE_SECONDS,
        ranks: Ranks = "zero",
        gpus: Gpus = "visible",
        strict: bool = False,
        token: str = "",
        token_file: str | os.PathLike[str] = "",
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
        panel: bool = True,
    ) -> None:
        """Describe the run, and start sending; see docs/sdk.md for every argument.

        Raises ValueError for what cannot be used of where the session goes and how it works: address,
        credentials, session_id, spool, buffer_bytes, close_seconds, ranks, gpus; OSError for a file that
        cannot be read and a spool_dir that cannot be used. What describes the run is left out instead,
        counted and logged once, unless `strict`. Never waits for the bridge.
        """
        account = LeftOut(strict=strict)
        plan = run_config(
            account,
            model=model,
            dataset=dataset,
            epochs=epochs,
            batches_per_epoch=batches_per_epoch,
            steps=steps,
            batch_size=batch_size,
            class_names=class_names,
        )
        self._rank = RankCheck(ranks)
        process = self._rank.process
        in_process = (
            address
            if isinstance(address, InProcessBridge) and not isinstance(address, type)
            else None
        )
        part = join_run(session_id, self._rank) if in_process is None else NO_RUN
        wanted = part.session_id or stable_name(session_id, plan.model, process)
        name = run_name(wanted, plan.model, process, ranks)
        bridge = (
            destination(
                address,
                token=token,
                token_file=token_file,
                ca_file=ca_file,
                cert_file=cert_file,
                key_file=key_file,
            )
            if in_process is None
            else in_process
        )
        resume = resume_point(account, resume_from, resume_step)
        identity = Identity(
            part.session_id if part.instance_id else name.session_id,
            part.instance_id or uuid4().hex,
            client_text(account, "client_name", client_name, CLIENT_NAME),
            client_text(account, "client_version", client_version, __version__),
            plan,
            rank_labels(
                {**part.run.labels, **labels_of(account, labels)}, process, ranks, name.session_id
            ),
            started_ms=now_ms(),
            run_id=name.run_id,
            rank=process.rank if process.is_one_of_several else None,
            world_size=process.world_size if process.is_one_of_several else 0,
            config_json=config_json(
                account, config, bridge.token.value if isinstance(bridge, Destination) else ""
            ),
            resume_from=resume,
        )
        spool = spool_location(spool_dir, spool_bytes)
        self._rank.check_name(identity, has_spool=spool is not None)
        options = Options(
            bytes_of("buffer_bytes", buffer_bytes, BUFFER_BYTES),
            duration_of("close_seconds", close_seconds, CLOSE_SECONDS),
            gpus,
            spool,
            account,
            part,
        )
        self._use(Runtime(identity, bridge, self._rank, options))
        self._resume_from = resume
        if resume is not None and resume.step is not None:
            self._capture.next_step = resume.step
        self._panel = open_panel(self._runtime, plan) if panel else None

    @property
    def attempt(self) -> int | None:
        """Which attempt of the session this is, from 1; None until the bridge has said so."""
        return self._runtime.transport.attempt

    @property
    def url(self) -> str | None:
        """The page of the session in a browser; None until the bridge has said where that is."""
        return self._runtime.transport.page_url

    @property
    def session_id(self) -> str:
        """The name of the session at the bridge."""
        return self._runtime.session_id

    @property
    def stats(self) -> Stats:
        """What has been sent, acknowledged and lost so far."""
        return self._runtime.stats()

    def flush(self, timeout: float | None = None) -> int:
        """Wait until the bridge has everything reported so far, or the timeout in seconds (10 if None).

        Returns the number of messages that it has not.
        """
        seconds = read_argument(self._gate.account, "timeout", timeout, seconds_of, None)
        return self._runtime.flush(CLOSE_SECONDS if seconds is None else seconds)

    def close(self, timeout: float | None = None) -> int:
        """End the session, as `with` does, and wait until all is delivered.

        It has COMPLETED if nothing else was reported, or FAILED where an exception is in flight, as in the
        `finally` of a loop, or has ended the program, as in a hook of `atexit`.

        Waits for `timeout` seconds (`close_seconds` if None), and a second more at most where something
        does not end in time. Returns the number of messages that were not delivered by then: they are
        lost, but for those that a spool keeps, `stats.kept`. What interrupts it (Ctrl-C, a signal handler
        that raises) ends the waiting. Calling it again returns the same number.
        """
        self._runtime.report_end(process_hooks.PROCESS_END.error)
        seconds = read_argument(self._gate.account, "timeout", timeout, seconds_of, None)
        left = self._runtime.close(seconds)
        self._end_panel()
        return left

    def __enter__(self) -> Self:
        """Return the session."""
        self._gate.admits("blocks")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the session: COMPLETED, or FAILED with the type and message of what was raised."""
        self._runtime.report_end(error)
        self._runtime.close()
        self._end_panel()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: it sends nothing, in this process or another."""
        state = {name: value for name, value in vars(self).items() if name not in _PARTS}
        return state | {_COPIED: (self.session_id, self._gate.account.is_strict)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become a copy, which only says once that it is one."""
        session_id, is_strict = state.pop(_COPIED)
        vars(self).update(state)
        self._rank = RankCheck("all")
        options = Options(0, 0.0, "none", None, LeftOut(strict=is_strict))
        identity = Identity(session_id, "", "", "", RunConfig())
        self._use(Runtime(identity, Destination(""), self._rank, options, is_copy=True))
        self._panel = None

    def __del__(self) -> None:
        """End the session if the program has not: nobody can log any more."""
        runtime = vars(self).get("_runtime")  # None where the constructor has raised
        if runtime is not None:
            runtime.let_go()

    def _end_panel(self) -> None:
        if self._panel is not None:
            self._panel.end()

    def _use(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._gate = runtime.gate
        self._capture = runtime.calls
        self._commands = runtime.commands
        self._phases = runtime.phases
        self._callbacks = self._commands.lend_callbacks()
        self._pause = Pause(
            self._commands,
            runtime.queue,
            report=runtime.status.report,
            is_abandoned=runtime.is_abandoned,
            phases=runtime.phases,
        )
        self._agreement = Agreement(
            self._commands, self._callbacks, self._pause, self._phases, self._rank
        )
        self._current_rate = None
        self._place = None
        self._logged_epoch = None
