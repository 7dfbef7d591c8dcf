"""What an Ack promises here, by the settings of the database."""

import re
from dataclasses import dataclass

from sqlalchemy import func, select

from bridge.storage.database import Database
from bridge.storage.statements import Statement

SETTINGS = ("synchronous_commit", "synchronous_standby_names", "fsync", "full_page_writes")

ASK = Statement(
    select(*(func.current_setting(name) for name in SETTINGS), func.pg_is_in_recovery())
)

STANDBYS = re.compile(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", re.IGNORECASE)
"""How synchronous_standby_names begins where it says how many; otherwise it is one."""

ON_STANDBYS = {"on": "on the disk", "remote_apply": "on the disk", "remote_write": "in the memory"}

NO_FSYNC = "fsync is off: an Ack does not survive a power loss; set fsync = on"
NO_SYNCHRONOUS_COMMIT = (
    "synchronous_commit is off: an Ack does not survive a crash of the database;"
    " set synchronous_commit = on for the user of the bridges"
)
NO_FULL_PAGES = (
    "full_page_writes is off: a power loss may damage the database, unless its file system rules"
    " out torn pages; set full_page_writes = on"
)
STANDBY = (
    "the database is a standby: nothing can be written; name the hosts of all servers in the URL"
)


@dataclass(frozen=True, slots=True)
class AcknowledgementMeaning:
    """Settings of the database that decide which losses an acknowledged update survives."""

    synchronous_commit: str
    synchronous_standby_names: str
    fsync: bool
    full_page_writes: bool
    in_recovery: bool
    """It is a standby itself: nothing can be acknowledged."""

    @property
    def is_on_disk(self) -> bool:
        """Whether an update is on the disk of the primary before it is acknowledged."""
        return self.fsync and self.synchronous_commit != "off"

    @property
    def standbys(self) -> int:
        """How many other machines have an update before it is acknowledged."""
        names = self.synchronous_standby_names.strip()
        if not names or self.synchronous_commit not in ON_STANDBYS:
            return 0
        count = STANDBYS.match(names)
        return int(count[1]) if count else 1

    @property
    def sentence(self) -> str:
        """What an Ack means, for the log."""
        if not self.is_on_disk:
            return "An Ack means: in the memory of the database; the loss of its machine takes along what was acknowledged"
        text = "An Ack means: on the disk of the primary"
        if self.standbys:
            return f"{text} and {ON_STANDBYS[self.synchronous_commit]} of {self.standbys} {'standby' if self.standbys == 1 else 'standbys'}"
        return f"{text}, and on no other machine; a failover may lose what was acknowledged last"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator should change, a sentence each."""
        found = {
            NO_FSYNC: not self.fsync,
            NO_SYNCHRONOUS_COMMIT: self.synchronous_commit == "off",
            NO_FULL_PAGES: not self.full_page_writes,
            STANDBY: self.in_recovery,
        }
        return tuple(text for text, is_so in found.items() if is_so)


def acknowledgement_meaning(database: Database) -> AcknowledgementMeaning:
    """Ask the database what an Ack means as it is set now; raises StorageError."""
    [(commit, standbys, fsync, pages, in_recovery)] = database.query(ASK)
    return AcknowledgementMeaning(
        synchronous_commit=commit,
        synchronous_standby_names=standbys,
        fsync=fsync == "on",
        full_page_writes=pages == "on",
        in_recovery=in_recovery,
    )
