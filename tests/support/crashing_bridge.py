"""The command `trainbridge`, killed by itself at a chosen moment: argv is MOMENT COUNT and what the command takes.

MOMENT is `before` or `after` a commit to the database, COUNT says which commit from the start.
"""

import os
import signal
import sys
import time
from contextlib import contextmanager
from itertools import count

from bridge.cli import main
from bridge.storage.sqlite.database import SqliteDatabase

LEAK_SECONDS = 0.05
"""An Ack that did not wait for the commit has time to get out."""

commit = SqliteDatabase.transaction
commits = count(1)


@contextmanager
def deadly(database, **options):
    """Commit as ever; the one commit is the last thing this process does, or nearly does."""
    is_last = next(commits) == int(sys.argv[2])
    with commit(database, **options) as transaction:
        yield transaction
        if is_last and sys.argv[1] == "before":
            time.sleep(LEAK_SECONDS)
            os.kill(os.getpid(), signal.SIGKILL)
    if is_last:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    SqliteDatabase.transaction = deadly
    sys.exit(main(sys.argv[3:]))
