"""A real PostgreSQL of the tests' own, which can be made to fail in every way that one fails."""

import atexit
import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from support.ports import free_port
from support.tools import tool
from support.waiting import until_true

SUPERUSER = "postgres"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "dynamic_shared_memory_type": "mmap",  # what is killed leaves its files in its own folder
    "jit": "off",
    "autovacuum_naptime": "5s",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_retrieve_retry_interval": "200ms",
    "wal_keep_size": "256MB",
    "log_line_prefix": "%m [%p] %a ",
}

STOPS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

PASSES_CLOSED_FOLDERS = (
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
    "--securebits=+no_setuid_fixup",  # or access(2) says no all the same
)
"""For a checkout, or a temporary folder, that only root may enter."""

NUMBERS = count(1)


@dataclass
class PostgresServer:
    """One server with its folder; it comes back under the same address, with what it had on its disk."""

    folder: Path
    user: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        """Return host:port, for a proxy."""
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Return the data folder."""
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        """Return where a database is."""
        return url_of([self.address], database)

    def log(self) -> str:
        """Return what the server has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, and wait until it answers; raises AssertionError, with its log, if it ends first."""
        with (self.folder / "log").open("ab") as log:
            self.process = self._popen([tool("postgres"), "-D", str(self.data)], log)
        until_true(
            lambda: self.answers() or self.process.poll() is not None, what="the server answers"
        )
        assert self.process.poll() is None, self.log()

    def answers(self) -> bool:
        """Return whether one can log in."""
        try:
            self.query("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, mode: str = "fast") -> None:
        """End it in order: `smart` waits for clients, `fast` cuts them off, `immediate` recovers at its next start."""
        self.process.send_signal(STOPS[mode])
        self.process.wait(60)

    def kill(self) -> None:
        """End all of its processes at once, as kill -9 does, or a machine that loses power."""
        self._end(self._processes())

    def pause(self) -> None:
        """Stop all of its processes where they are: connections stay open, and nothing answers."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        """Let it go on after a pause."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def promote(self) -> None:
        """Make a standby the primary, and wait until it takes writes."""
        self.query("SELECT pg_promote(true, 60)")
        until_true(
            lambda: self.query("SELECT pg_is_in_recovery()") == [(False,)],
            what="it takes writes",
        )

    def configure(self, **settings: str) -> None:
        """Change settings that need no restart, e.g. synchronous_standby_names; they are in force on return."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(
                    sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value)
                )
            connection.execute("SELECT pg_reload_conf()")
        for name, value in settings.items():
            until_true(
                lambda name=name, value=value: self._shows(name, value),
                what=f"{name} is {value!r}",
            )

    def query(self, text: str, *parameters, database: str = "postgres") -> list[tuple]:
        """Return the rows of one statement, which is committed."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def standby(self, *, synchronous: bool = False, name: str = "standby", **settings: str):
        """Run a standby of this server; where it is synchronous, no COMMIT is answered before it has written it too.

        When the block ends the primary, if it still runs, waits for nobody any more.
        """
        with _folder(self.user) as folder:
            other = PostgresServer(folder, self.user)
            source = f"host=127.0.0.1 port={self.port} user={SUPERUSER} application_name={name}"
            other._run("pg_basebackup", "-d", source, "-R", "-c", "fast", "-D", str(other.data))
            other._write_settings(settings)
            with other._running():
                until_true(lambda: self._has_standby(name), what=f"{name} follows")
                if synchronous:
                    self.configure(synchronous_standby_names=name)
                try:
                    yield other
                finally:
                    if synchronous and self.answers():
                        self.configure(synchronous_standby_names="")

    @contextmanager
    def database(self, template: str = "template1"):
        """Make a database, and yield its URL; it goes with the block, whoever is still connected.

        It holds what the template does, which nobody may be connected to: nothing, if none is given.
        """
        name = f"test_{next(NUMBERS)}"
        self.query(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.query(f"DROP DATABASE {name} WITH (FORCE)")

    def _has_standby(self, name):
        rows = self.query("SELECT state FROM pg_stat_replication WHERE application_name = %s", name)
        return rows == [("streaming",)]

    def _shows(self, name, value):
        return self.query("SELECT current_setting(%s)", name) == [(value,)]

    def _initialize(self, settings):
        subprocess.run(["cp", "--archive", _new_data(self.user), self.data], check=True)
        self._write_settings(settings)

    def _write_settings(self, settings):
        """Where a name stands twice, the last one counts."""
        values = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.folder)}
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in (values | settings).items())

    @contextmanager
    def _running(self):
        self.start()
        try:
            yield
        finally:
            self._close()

    def _close(self):
        """End it in whatever state the test left it."""
        if self.process.poll() is None:
            self.resume()
            self.process.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        self._end(self._processes())

    def _processes(self):
        """Its children lead sessions of their own, so a signal to a group would not reach them."""
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _end(self, processes):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(60)
        until_true(lambda: not any(map(_runs, processes)), what="all its processes have ended")

    def _run(self, program, *arguments):
        command = [tool(program), *arguments]
        with (self.folder / "log").open("ab") as log:
            status = self._popen(command, log).wait()
        assert status == 0, self.log()

    def _popen(self, command, log):
        """PostgreSQL refuses to run as root."""
        as_other = {}
        if os.geteuid() == 0:
            other = pwd.getpwnam(self.user)
            places = (command[0], self.folder / "data")
            if all(map(_is_open_to_all, places)):
                as_other = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
            else:
                ids = (f"--reuid={other.pw_uid}", f"--regid={other.pw_gid}", "--clear-groups")
                command = ["setpriv", *ids, *PASSES_CLOSED_FOLDERS, *command]
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
            **as_other,
        )


@cache
def _new_data(user):
    """Return the data folder of a server that has never run, made once: a copy of it takes a tenth of making one."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-new-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if os.geteuid() == 0:
        shutil.chown(folder, user)
    new = PostgresServer(folder, user)
    new._run(
        "initdb",
        *("--pgdata", str(new.data), "--username", SUPERUSER, "--auth", "trust"),
        *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        # As most servers: texts are sorted as in a dictionary, unless a column says otherwise.
        *("--locale-provider", "icu", "--icu-locale", "en-US"),
    )
    return new.data


def url_of(addresses: list[str], database: str) -> str:
    """Return the URL of a database that is on whichever of these servers, host:port each, takes writes."""
    return f"postgresql://{SUPERUSER}@{','.join(addresses)}/{database}"


@contextmanager
def running_postgres(**settings: str):
    """Run a server of its own for the length of a block; where the programs are missing the test is skipped."""
    for program in ("initdb", "postgres", "pg_basebackup"):
        tool(program)
    with ExitStack() as stack:
        user = server_user()
        server = PostgresServer(stack.enter_context(_folder(user)), user)
        server._initialize(settings)
        stack.enter_context(server._running())
        yield server


def server_user() -> str:
    """Return the user that servers run as: oneself, or, since they refuse root, somebody with few rights."""
    if os.geteuid() != 0:
        return getpass.getuser()
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


@contextmanager
def _folder(user):
    """Pytest's own folders are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_open_to_all(path):
    """Return whether everybody may come to a file, and run it if it is a program that is there."""
    parents = all(parent.stat().st_mode & 0o001 for parent in path.absolute().parents[1:])
    return parents and (not path.is_file() or bool(path.stat().st_mode & 0o001))


def _runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
