"""Which of several training processes reports, and whether they train together."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing import parent_process
from typing import get_args

from bridge.client.encoding.isolation import let_through
from bridge.client.identity import Identity
from bridge.client.run_names import light_session, ranked_session
from bridge.client.settings import ProcessRank, Ranks, process_rank

WAIT_SECONDS = 30.0
"""How long the connection of one of several processes is held back, at most, until its rank is known."""

WAIT_ALONE_SECONDS = 2.0
"""The same where nothing suggests that there are several processes."""

GROUP_VARIABLES = ("MASTER_ADDR", "WORLD_SIZE")
"""Variables that launchers set for a process group."""

POLL_SECONDS = 0.05

NOT_NAMED = (
    "rank %d does not report, since the ranks of this run have no name in common: give session_id to"
    " TrainingSession, the same on every rank, or start them with torchrun --rdzv-id NAME"
)

KNOWN_LATE = (
    "rank %d does not report, since its session was made before its rank was known: make the session after"
    " init_process_group, or start the ranks with torchrun"
)

log = logging.getLogger("trainbridge")


class RankCheck:
    """Decides whether this process reports: at once where that is certain, else when training begins.

    A session is often built before `init_process_group`, and the ranks may be unknown until then. So the
    connection is held back until the first call; the loop never is.
    """

    def __init__(
        self,
        ranks: Ranks = "zero",
        environment: Mapping[str, str] = os.environ,
        *,
        wait_seconds: float | None = None,
    ) -> None:
        """Check a first time; raises ValueError for an unknown `ranks`."""
        if ranks not in get_args(Ranks):
            raise ValueError(f"ranks: {ranks!r} is not one of {', '.join(get_args(Ranks))}")
        self._ranks = ranks
        self._obstacle = ""
        """Why a rank other than 0 cannot have a name of its own, for people; "": it can."""
        self.is_known_to_have_company = False
        """Whether it has reached other ranks by a call of the program's own."""
        self._lock = threading.Lock()
        """Held to decide whether the rank was known in time."""
        self._environment = environment
        is_one_of_several = parent_process() is not None or any(
            name in environment for name in GROUP_VARIABLES
        )
        self._is_one_of_several = is_one_of_several
        default = WAIT_SECONDS if is_one_of_several else WAIT_ALONE_SECONDS
        self._wait_seconds = default if wait_seconds is None else wait_seconds
        self._settled = threading.Event()
        self._warned: set[str] = set()
        self.process: ProcessRank = process_rank(environment)
        """As of the last check."""
        if self.process.is_certain or not _may_form_a_group():
            self._settled.set()

    @property
    def reports(self) -> bool:
        """Whether this process reports, as far as it is known."""
        return self._ranks == "all" or self.process.rank == 0 or self.is_light

    @property
    def is_known(self) -> bool:
        """Whether the rank stays what it is, as far as anything suggests."""
        return self._settled.is_set() or not self._is_one_of_several

    @property
    def is_light(self) -> bool:
        """Whether this process reports what it measures, and no more."""
        return self._ranks == "light" and self.process.rank > 0 and not self._obstacle

    @property
    def is_together(self) -> bool:
        """Whether other processes train with this one, so that none of them may pause or stop alone.

        A process group decides. Without one they do if their launcher has started several, unless each
        reports as a run of its own.
        """
        size = group_size()
        if size is not None:
            return size > 1
        if self.is_known_to_have_company:
            return True
        if self._ranks == "all":
            return False
        if _is_batch_script(self._environment):
            others = {name: text for name, text in self._environment.items() if "SLURM" not in name}
            return process_rank(others).is_one_of_several
        return self.process.is_one_of_several

    def identify(self, identity: Identity) -> Identity:
        """Return who registers, once the rank is known: with the rank, and under the name that goes with it."""
        process = self.process
        if identity.rank is not None or not process.is_one_of_several:
            return identity
        name, labels = identity.session_id, identity.labels
        if self.is_light:
            name = light_session(identity.run_id, process.rank)
        elif self._ranks == "all":
            labels = {**labels, "rank": str(process.rank)}
            name = name if self._obstacle else ranked_session(identity.run_id, process.rank)
        return replace(
            identity,
            session_id=name,
            labels=labels,
            rank=process.rank,
            world_size=process.world_size,
        )

    def check_name(self, identity: Identity, *, has_spool: bool) -> None:
        """Find out whether each rank can have a name of its own; a spool has one name from its beginning."""
        if not identity.run_id:
            self._obstacle = NOT_NAMED
        elif identity.rank is None and has_spool:
            self._obstacle = KNOWN_LATE
        self._warn_if_kept_from_reporting()

    def settle(self) -> bool:
        """Check again, as training begins, and return whether this process reports.

        Called in the training thread, by the first call of log_* and by close and flush. A process that
        was taken for rank 0 until now may turn out to be another.
        """
        if not self.process.rank:  # any other rank stays what it is when its group is gone
            self.process = process_rank(self._environment)
        with self._lock:
            self._settled.set()
        self._warn_if_kept_from_reporting()
        return self.reports

    def wait(self) -> bool:
        """Return whether this process reports, once that is known; called in the SDK's threads.

        It is known at the first call of the training loop, as soon as there is a process group, and after
        `wait_seconds` at the latest: then this is taken for the only process.
        """
        deadline = time.monotonic() + self._wait_seconds
        while not self._settled.wait(POLL_SECONDS):
            process = process_rank(self._environment)
            if process.is_certain:
                self.process = process
                self._settled.set()
            elif time.monotonic() > deadline:
                self._take_for_the_only_one()
        return self.reports

    def thread(self, name: str, work: Callable[[], object]) -> threading.Thread:
        """Return a thread that works once it is known that this process reports, if it does."""

        def run() -> None:
            if self.wait():
                work()

        return threading.Thread(target=run, name=name, daemon=True)

    def warn_unless_rank_zero(self, call: str) -> None:
        """Log once per call that this rank reads commands, which reach rank 0 only."""
        if self.process.rank == 0 or call in self._warned:
            return
        self._warned.add(call)
        log.warning(
            "rank %d asks %s alone, but commands reach rank 0 only: call agree_to_stop() on every rank "
            "at the same step, or the others go on without rank 0",
            self.process.rank,
            call,
        )

    def _take_for_the_only_one(self) -> None:
        """Connect under the name of the run: a rank that turns out to be another cannot have one of its own."""
        with self._lock:
            if not self._settled.is_set():
                self._obstacle = self._obstacle or KNOWN_LATE
                self._settled.set()

    def _warn_if_kept_from_reporting(self) -> None:
        """Log once why this rank does not report what it measures, though it is asked to."""
        if (
            self._ranks == "light"
            and self.process.rank
            and self._obstacle not in ("", *self._warned)
        ):
            self._warned.add(self._obstacle)
            log.warning(self._obstacle, self.process.rank)


def group_size() -> int | None:
    """Return the size of torch's process group; None where there is none."""
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is None or not distributed.is_initialized():
            return None
        return int(distributed.get_world_size())
    except Exception as error:  # noqa: BLE001 -- a build without distributed training
        let_through(error)
        return None


def _is_batch_script(environment: Mapping[str, str]) -> bool:
    """Return whether SLURM runs the script of a job here, and none of its tasks: it says how many those would be."""
    return environment.get("SLURM_PROCID") == "0" and "SLURM_STEP_ID" not in environment


def _may_form_a_group() -> bool:
    """Return whether torch is loaded and may still form a process group."""
    distributed = sys.modules.get("torch.distributed")
    try:
        return distributed is not None and not distributed.is_initialized()
    except Exception as error:  # noqa: BLE001 -- a build without distributed training
        let_through(error)
        return False
