"""How a program has ended, in words, and as the status of its run."""

import signal
from dataclasses import dataclass

from bridge.client.calls import StatusCall
from bridge.client.endings import SIGNALLED, end_of
from bridge.protocol import Status

NOT_SAID = "the program has ended with exit status 0, and no session of its own has said how"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a process."""

    code: int
    """Its exit status, or minus the number of the signal that has killed it."""
    out_of_memory_kills: int = 0
    """So many processes of our cgroup the kernel has killed for their memory, while it ran."""

    @property
    def exit_status(self) -> int:
        """Return what a shell would."""
        return SIGNALLED - self.code if self.code < 0 else self.code

    @property
    def text(self) -> str:
        """Return it in words."""
        if self.code >= 0:
            return f"the program has ended with exit status {self.code}"
        name = signal_name(-self.code)
        if -self.code == signal.SIGKILL and self.out_of_memory_kills:
            return (
                f"the program was killed by {name}, most likely for its memory: the kernel has counted"
                f" {self.out_of_memory_kills} oom_kill in memory.events of its cgroup; give it more memory, or less to hold"
            )
        return f"the program was killed by {name}"

    @property
    def status(self) -> StatusCall:
        """Return what is reported of it, where the program has not said how it ended."""
        status, ending = end_of(SystemExit(self.exit_status))
        text = NOT_SAID if status is Status.COMPLETED else self.text
        return StatusCall(0.0, status, text, ending.value)


def signal_name(number: int) -> str:
    """Return the name of a signal; of those that have none, such as real-time ones, the number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
