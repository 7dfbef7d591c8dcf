"""What docs/scaling.md says of a database that is restored to an older state: what comes back, and what is gone for good."""

import json
import subprocess
from contextlib import suppress
from urllib.error import HTTPError

from support.bridges import launched
from support.jpegs import jpeg
from support.ports import free_port
from support.tools import tool
from support.waiting import until_true

from bridge.client import TrainingSession


def carry_out(server, program, *words):
    """Run a program of PostgreSQL's on the server."""
    address = ("--host", "127.0.0.1", "--port", str(server.port), "--username", "postgres")
    subprocess.run([tool(program), *address, *words], check=True, capture_output=True)


STORED = "SELECT count(*) FROM shards WHERE stored = 1"


def batches_with_images(bridge):
    """Return the batches of the run whose images its page shows."""
    with suppress(HTTPError):
        rows = json.loads(bridge.get("/api/v1/sessions/run/images"))["batches"]
        return {row["batch"] for row in rows}
    return set()


def report(session, batches):
    """Report some batches, the last of them with an image, and wait for their Acks."""
    for batch in batches:
        session.log_batch(0.5, epoch=0, batch=batch)
    session.log_batch(0.5, epoch=0, batch=batches.stop, images=[jpeg(16, 16, batches.stop)])


def test_what_was_acknowledged_after_the_backup_is_gone_and_all_else_goes_on(
    postgres_server, postgres_url, tmp_path
):
    """Runs go on behind the gap, unacknowledged messages are counted once, and images in the store are shown."""
    database = postgres_url.rpartition("/")[2].partition("?")[0]
    backup = tmp_path / "backup"
    flags = (
        *("--state", postgres_url, "--images-store", (tmp_path / "images").as_uri()),
        *("--images-keep", "all", "--shard-seconds", "0.2", "--shutdown-grace-seconds", "5"),
        *("--grpc-address", f"127.0.0.1:{free_port()}"),
    )
    address = flags[-1]
    with launched(tmp_path / "a", *flags, "--spool-folder", str(tmp_path / "a")) as launch:
        bridge = launch.ready()
        run = TrainingSession(address, session_id="run")
        report(run, range(9))
        assert run.flush(60) == 0
        until_true(
            lambda: postgres_server.query(STORED, database=database) == [(1,)],
            seconds=60,
            what="the first shard is in the store, and the database knows it",
        )
        carry_out(postgres_server, "pg_dump", "--format=custom", f"--file={backup}", database)
        report(run, range(10, 19))
        later = TrainingSession(address, session_id="later")
        later.log_batch(0.5, epoch=0, batch=0)
        assert run.flush(60) == later.flush(60) == 0
        assert bridge.stop() == 0
    report(run, range(20, 29))
    carry_out(postgres_server, "dropdb", "--force", database)
    carry_out(postgres_server, "createdb", database)
    carry_out(postgres_server, "pg_restore", f"--dbname={database}", str(backup))

    with launched(tmp_path / "b", *flags, "--spool-folder", str(tmp_path / "b")) as launch:
        bridge = launch.ready()
        assert run.flush(60) == 0
        later.log_batch(0.5, epoch=0, batch=1)
        assert later.flush(60) == 0

        assert bridge.total("training_batches_total", session_id="run") == 10 + 10
        assert bridge.total("training_batches_total", session_id="later") == 1
        until_true(
            lambda: batches_with_images(bridge) == {9, 19, 29},
            seconds=60,
            what="images that were uploaded after the backup are shown",
        )
        assert run.close(60) == later.close(60) == 0
