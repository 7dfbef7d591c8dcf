"""Runs the revisions that a database has not had yet, with Alembic."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

log = logging.getLogger("bridge")

VERSIONS = Path(__file__).parent / "versions"


def upgrade(connection: Connection) -> None:
    """Run the revisions that are missing, in the transaction that is open or begins with the first statement."""
    scripts = ScriptDirectory(VERSIONS.parent, version_locations=[VERSIONS])

    def steps(heads: Any, _context: MigrationContext) -> Iterator[MigrationStep]:
        for step in scripts._upgrade_revs("head", heads):
            [revision] = step.to_revisions
            yield step
            log.info("the database was migrated", extra={"fields": {"revision": int(revision)}})

    options = {"fn": steps, "transactional_ddl": True}
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context):
        context.run_migrations()
