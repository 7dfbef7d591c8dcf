"""What the ranks of a run are commanded, they do at the same step: all of them, or none."""

import json
import logging
from collections.abc import Sequence

from bridge.client.collectives import (
    AllGather,
    Collective,
    GivenCollective,
    torch_collective,
)
from bridge.client.command import Callbacks, Command, carried_out, confirm, take_back
from bridge.client.commands import CommandInbox
from bridge.client.encoding.isolation import let_through
from bridge.client.pause import Pause
from bridge.client.phases import IDLE, PhaseClock
from bridge.client.ranks import RankCheck
from bridge.protocol import CommandType

PAUSE_SECONDS = 1.0
"""How often ranks that pause together ask rank 0 whether they still do; far below the time after which
a process group gives up a collective (10 minutes for nccl, 30 for others, unless set otherwise)."""

AT_ONCE = 8
"""So many commands at most are carried out before the ranks look again."""

BODY_BYTES = 16 << 10
"""What these may take up on their way to the other ranks."""

ANSWER_BYTES = 256
"""What a rank has to say about one command: whether it was applied, and a remark."""

STOP, PAUSE = 1, 2
"""Bits of rank 0's number; above them is the length of the commands that follow it."""

NOT_REACHED = "the ranks could not agree ({}); the log of the training says more"

OTHER_RANK = "commands go to the session of rank 0, which the other ranks follow"

log = logging.getLogger("trainbridge")


class Agreement:
    """Carries out rank 0's commands on every rank at the same step."""

    def __init__(
        self,
        commands: CommandInbox,
        callbacks: Callbacks,
        pause: Pause,
        phases: PhaseClock,
        rank: RankCheck,
    ) -> None:
        self._commands = commands
        self._callbacks = callbacks
        self._pause = pause
        self._phases = phases
        self._rank = rank
        self._given: GivenCollective | None = None

    def reach(self, all_gather: AllGather | None) -> bool:
        """Obey what is waiting, and hold this rank while rank 0 is paused; return whether training stops."""
        commands = self._commands
        try:
            collective = torch_collective() if all_gather is None else self._by(all_gather)
            if collective is None:
                return self._alone()
            commands.has_agreed = True
            return self._together(collective)
        except BaseException as error:  # noqa: BLE001 -- telemetry never ends a training loop
            let_through(error)
            log.warning("the ranks could not agree: %s: %s", type(error).__name__, error)
            commands.refuse_all(NOT_REACHED.format(type(error).__name__))
            return commands.has_agreed_to_stop

    def _by(self, all_gather: AllGather) -> Collective | None:
        """Return how this process reaches the others by a call of the program's; None: there are none."""
        if self._given is None:
            self._given = GivenCollective(all_gather)
            self._rank.is_known_to_have_company = self._given.size > 1
        self._given.call = all_gather
        return self._given if self._given.size > 1 else None

    def _alone(self) -> bool:
        commands = self._commands
        commands.lacks_group = self._rank.is_together
        commands.run_callbacks()
        if commands.acknowledge_pause():
            self._pause.wait()
            self._pause.end()
        return commands.acknowledge_stop()

    def _together(self, collective: Collective) -> bool:
        is_held = False
        try:
            while True:
                stops, pauses = self._look(collective)
                if stops:
                    self._commands.agree_to_stop()
                if stops or not pauses:
                    return self._commands.has_agreed_to_stop
                self._hold(collective, is_held=is_held)
                is_held = True
        finally:
            if is_held:
                self._go_on(collective)

    def _look(self, collective: Collective) -> tuple[bool, bool]:
        """Carry out what has callbacks; return whether rank 0 stops, and whether it pauses."""
        commands = self._commands
        if collective.rank:
            commands.refuse_all(OTHER_RANK)
            taken: list[Command] = []
            number, body = 0, b""
        else:
            taken = self._taken()
            body = _body(taken)
            stops = commands.is_stopping
            number = STOP * stops | PAUSE * commands.is_paused | len(body) << 2
        try:
            number = collective.number_of_zero(number)
            if size := number >> 2:
                self._carry_out(collective, body or bytes(size), taken)
        except BaseException as error:
            for command in taken:
                if command.answer is None:
                    remark = NOT_REACHED.format(type(error).__name__)
                    commands.answer(command, applied=False, remark=remark)
            raise
        return bool(number & STOP), bool(number & PAUSE)

    def _taken(self) -> list[Command]:
        """Take what has a callback on this rank, as much of it as is brought to the others at once."""
        taken: list[Command] = []
        for command in self._commands.take_with_callbacks(AT_ONCE):
            if len(_body([command])) * AT_ONCE > BODY_BYTES:
                remark = f"its parameters are too long to be brought to all ranks: at most {BODY_BYTES // AT_ONCE} bytes"
                self._commands.answer(command, applied=False, remark=remark)
            else:
                taken.append(command)
        return taken

    def _carry_out(self, collective: Collective, body: bytes, taken: Sequence[Command]) -> None:
        """Run the callbacks of each command on all ranks that lack none; the ranks know then what became of it."""
        commands = [
            Command(CommandType(number), parameters)
            for number, parameters in json.loads(collective.bytes_of_zero(body))
        ]
        able = collective.all_gather(bytes(command.type in self._callbacks for command in commands))
        for index, command in enumerate(commands):
            lacking = [rank for rank, has in enumerate(able) if not has[index]]
            if lacking:
                outcome = (False, f"{_ranks(lacking)} has no callback for {command.type.name}")
            else:
                outcome = self._outcome(collective, command)
            if taken:
                self._commands.answer(taken[index], applied=outcome[0], remark=outcome[1])

    def _outcome(self, collective: Collective, command: Command) -> tuple[bool, str]:
        """Run the callback of one command; return what became of it on all ranks."""
        callback = self._callbacks[command.type]
        cell = _cell(*carried_out(callback, command))
        answers = [_answer_of(each) for each in collective.all_gather(cell)]
        refusals = [(rank, said) for rank, (applied, said) in enumerate(answers) if not applied]
        if not refusals:
            confirm(callback)
            return answers[0]
        if len(refusals) == len(answers):
            return False, answers[0][1]
        is_undone = take_back(callback)
        rank, said = refusals[0]
        rest = "no rank has changed" if is_undone else "others have applied it, so the ranks differ"
        return False, f"rank {rank} has refused it ({said or 'without a reason'}); {rest}"

    def _hold(self, collective: Collective, *, is_held: bool) -> None:
        if collective.rank == 0:
            self._commands.agree_to_pause()
            self._pause.wait(PAUSE_SECONDS)
        elif not is_held:
            self._phases.enter_idle()

    def _go_on(self, collective: Collective) -> None:
        if collective.rank == 0:
            self._pause.end()
        else:
            self._phases.leave(IDLE)


def _body(commands: Sequence[Command]) -> bytes:
    """Return commands as bytes; none for none."""
    if not commands:
        return b""
    return json.dumps(
        [(int(command.type), dict(command.parameters)) for command in commands]
    ).encode()


def _cell(applied: bool, remark: str) -> bytes:  # noqa: FBT001
    """Return what a rank has to say in as many bytes as every rank takes for it."""
    text = remark.encode(errors="replace")[: ANSWER_BYTES - 1].decode(errors="ignore").encode()
    return (bytes([applied]) + text).ljust(ANSWER_BYTES, b"\0")


def _answer_of(cell: bytes) -> tuple[bool, str]:
    return bool(cell[0]), cell[1:].rstrip(b"\0").decode(errors="replace")


def _ranks(ranks: Sequence[int]) -> str:
    """Return the first of some ranks, and how many more there are."""
    rest = len(ranks) - 1
    return f"rank {ranks[0]}" + (f" and {rest} more" if rest else "")
