"""What happens between a bridge and its shared database at the start."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import insert, select
from support.ports import free_port
from support.waiting import until_true

from bridge.errors import SettingError
from bridge.storage.postgres import BridgeDescription, acknowledgement_meaning, open_postgres
from bridge.storage.postgres.acknowledgement import AcknowledgementMeaning
from bridge.storage.postgres.bridge_rows import LOCK, SHARD_NUMBER_BITS
from bridge.storage.postgres.connecting import DatabaseAddress
from bridge.storage.schema import BRIDGES, SHARDS
from bridge.storage.statements import Statement

SECRET = "open-sesame"


@pytest.fixture
def postgres_url(empty_postgres_url):
    """Here no bridge has been before."""
    return empty_postgres_url


def test_bridges_that_start_together_make_the_tables_once(postgres_url):
    """Each gets a number of its own."""
    with ThreadPoolExecutor(6) as pool:
        opening = [
            pool.submit(open_postgres, postgres_url, BridgeDescription(f"bridge-{number}"))
            for number in range(6)
        ]
        databases = [one.result(60) for one in opening]
    try:
        assert sorted(database.number for database in databases) == [1, 2, 3, 4, 5, 6]
    finally:
        for database in databases:
            database.close()


def test_a_bridge_that_comes_back_keeps_its_number(postgres_url, open_as):
    """Its generation is raised, and the others stay as they are."""
    with open_as(postgres_url, "a") as first, open_as(postgres_url, "b") as other:
        assert (first.number, other.number) == (1, 2)
        generation = first.generation
    with open_as(postgres_url, "a") as again:
        assert again.number == 1
        assert again.generation > generation
        with again.group() as group:
            assert group.owned is None


def test_a_number_is_never_used_twice(postgres_url, open_as):
    """Where the row of a bridge is gone, its shards still say which number it had."""
    shard = {"shard_id": (7 << SHARD_NUMBER_BITS) | 5, "session_id": "s", "key": "k", "stored": 1}
    with open_as(postgres_url, "a") as database, database.transaction() as transaction:
        transaction.execute(Statement(insert(SHARDS).values(**shard)))
        transaction.execute("DELETE FROM bridges")
    with open_as(postgres_url, "b") as database:
        assert database.number == 8


@pytest.mark.parametrize(("off", "said"), [(600, "ahead of"), (-600, "behind"), (2, "")])
def test_a_clock_that_is_wrong_is_said(postgres_url, open_as, monkeypatch, caplog, off, said):
    """Silence of clients, and what bridges ask each other, is reckoned by clocks: the operator learns of it at the start."""
    clock = SimpleNamespace(time=lambda: time.time() + off)
    monkeypatch.setattr("bridge.storage.postgres.registration.time", clock)
    with open_as(postgres_url):
        pass

    found = [one.getMessage() for one in caplog.records if "clock" in one.getMessage()]
    assert [f"is {said} that of the database" in text for text in found] == [True] * bool(said)


def test_other_bridges_learn_where_a_bridge_is(postgres_url):
    """Its URL, certificate and version stand in its row."""
    bridge = BridgeDescription("a", "https://10.0.0.1:8080", "ab:cd", "9.1")
    database = open_postgres(postgres_url, bridge)
    columns = (BRIDGES.c.url, BRIDGES.c.fingerprint, BRIDGES.c.version)
    try:
        assert database.query(Statement(select(*columns))) == [
            ("https://10.0.0.1:8080", "ab:cd", "9.1")
        ]
    finally:
        database.close()


def test_a_database_that_cannot_be_reached_is_one_sentence(caplog):
    """It says where was looked and what to check, and the password stands nowhere."""
    url = f"postgresql://me:{SECRET}@127.0.0.1:{free_port()},127.0.0.1:{free_port()}/runs"
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(SettingError, match="check that it runs") as caught,
    ):
        open_postgres(url, BridgeDescription("a"), wait_seconds=1)

    assert "runs at 127.0.0.1:" in str(caught.value)
    assert caplog.text.count("trying again") == 1, "each cause is said once"
    assert SECRET not in caplog.text + str(caught.value) + repr(caplog.records)


def test_a_database_that_comes_late_is_waited_for(own_server, own_url):
    """A bridge that is started before its database starts with it."""
    own_server.stop()
    found = []

    def start():
        found.append(open_postgres(own_url, BridgeDescription("a"), wait_seconds=60))

    thread = threading.Thread(target=start)
    thread.start()
    own_server.start()
    thread.join(60)
    found[0].close()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}%zz@host/db",
        f"postgresql://me:p@{SECRET}@host/db",
        f"password={SECRET} host",
        f"postgresql://host/db?{SECRET}=1",
        f"postgresql://me:{SECRET}/12@host/db",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url, postgres_server):
    """A secret may stand at any place of it."""
    with pytest.raises(SettingError) as caught:
        open_postgres(url, BridgeDescription("a"), wait_seconds=0)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None or SECRET not in str(caught.value.__cause__)


def test_a_database_that_is_missing_is_named(postgres_server):
    """The server's own reason is in the sentence."""
    with pytest.raises(SettingError, match='"absent" does not exist'):
        open_postgres(postgres_server.url("absent"), BridgeDescription("a"), wait_seconds=0)


def escaped(name):
    """Return a name as it stands in a statement that psycopg looks for parameters in."""
    return name.replace("%", "%%")


@pytest.fixture
def restricted(postgres_server):
    """Return a function that makes a user with a database of its own, and settings or limits; both go with the test."""
    made = []

    def make(*settings, limits="", name="re@%stricted"):
        made.append(name)
        postgres_server.query(f'CREATE ROLE "{escaped(name)}" LOGIN {limits}')
        for setting in settings:
            postgres_server.query(f'ALTER ROLE "{escaped(name)}" SET {setting}')
        postgres_server.query(f'CREATE DATABASE "{escaped(name)}" OWNER "{escaped(name)}"')
        quoted = quote(name, safe="")
        return postgres_server.url(quoted).replace("postgres@", f"{quoted}@")

    yield make
    for name in made:
        for what in ("DATABASE", "ROLE"):
            postgres_server.query(f'DROP {what} "{escaped(name)}"')


def test_what_is_set_for_the_user_ends_no_start(restricted):
    """Bridges that start together wait for each other, however little the user's statements may wait; names are any."""
    url = restricted(
        "statement_timeout = '300ms'",
        "lock_timeout = '10ms'",
        "idle_in_transaction_session_timeout = '100ms'",
        "default_transaction_isolation = 'serializable'",
    )
    with psycopg.connect(url) as other, ThreadPoolExecutor(2) as pool:
        other.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        other.execute(*LOCK.compiled("postgresql", {}))
        opening = [pool.submit(open_postgres, url, BridgeDescription(name)) for name in "ab"]
        with psycopg.connect(url, autocommit=True) as looking:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            until_true(
                lambda: looking.execute(f"{waiting} AND wait_event = 'advisory'").fetchone() == (2,)
            )
            looking.execute("SELECT pg_sleep(0.2)")
        other.commit()
        databases = [one.result(60) for one in opening]
    try:
        for database in databases:
            with database.group() as group:
                assert group.owned is None
    finally:
        for database in databases:
            database.close()


@pytest.mark.parametrize(
    ("setting", "limits", "way_out"),
    [
        ("default_transaction_read_only = on", "", "default_transaction_read_only is on"),
        ("statement_timeout = 0", "CONNECTION LIMIT 0", "the limit of its user"),
    ],
)
def test_a_database_that_takes_no_writes_or_no_more_connections_says_so(
    restricted, setting, limits, way_out
):
    """It is not taken for one that cannot be reached."""
    url = restricted(setting, limits=limits, name="restricted")
    with pytest.raises(SettingError, match=way_out):
        open_postgres(url, BridgeDescription("a"), wait_seconds=0)


def test_another_encoding_is_refused(postgres_server):
    """A database that cannot hold every text is refused at once."""
    postgres_server.query("CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(SettingError, match="ENCODING 'UTF8'"):
            open_postgres(postgres_server.url("narrow"), BridgeDescription("a"))
    finally:
        postgres_server.query("DROP DATABASE narrow WITH (FORCE)")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:p@db/runs", "runs at db:5432"),
        ("postgresql://u@db1:6000,db2/runs", "runs at db1:6000, db2:5432"),
        ("host=db1,db2 port=6000 user=me", "me at db1:6000, db2:6000"),
        ("postgresql:///runs?host=/run/postgresql", "runs at /run/postgresql:5432"),
    ],
)
def test_a_database_is_named_without_its_password(url, place):
    """What stands in errors and logs is where it is."""
    assert str(DatabaseAddress(url)) == place


def test_what_a_server_says_is_redacted():
    """A password in a text of somebody else's is replaced, and the text comes on one line."""
    address = DatabaseAddress(f"postgresql://u:{SECRET}@db/runs")

    assert address.redacted(f"failed:\n  user={SECRET}\n") == "failed:; user=***"


def test_urls_say_otherwise():
    """Timeouts may be set in the URL; where reads go may not."""
    parameters = DatabaseAddress("postgresql://db/runs?connect_timeout=9&target_session_attrs=any")

    assert parameters.parameters["connect_timeout"] == "9"
    assert parameters.parameters["target_session_attrs"] == "read-write"


@pytest.mark.parametrize(
    ("commit", "names", "fsync", "standbys", "sentence"),
    [
        ("on", "", True, 0, "on the disk of the primary, and on no other machine"),
        ("on", "a", True, 1, "on the disk of the primary and on the disk of 1 standby"),
        ("on", "*", True, 1, "of 1 standby"),
        ("on", "a, b", True, 1, "of 1 standby"),
        ("remote_apply", "ANY 2 (a, b, c)", True, 2, "on the disk of 2 standbys"),
        ("remote_write", "first 1 (a, b)", True, 1, "in the memory of 1 standby"),
        ("on", "2(a, b)", True, 2, "of 2 standbys"),
        ("local", "a", True, 0, "on no other machine"),
        ("off", "a", True, 0, "in the memory of the database"),
        ("on", "a", False, 1, "in the memory of the database"),
    ],
)
def test_what_an_ack_means(commit, names, fsync, standbys, sentence):
    """The settings of the database are one sentence, and the number of standbys that have an update."""
    meaning = AcknowledgementMeaning(commit, names, fsync, full_page_writes=True, in_recovery=False)

    assert meaning.standbys == standbys
    assert sentence in meaning.sentence
    assert bool(meaning.warnings) is (commit == "off" or not fsync)


def test_a_real_server_says_what_an_ack_means(own_server, own_url, open_as):
    """What has been set since is asked for anew, with a warning for what does not keep its promise."""
    with open_as(own_url) as database:
        meaning = acknowledgement_meaning(database)
        assert meaning.is_on_disk
        assert (meaning.standbys, meaning.warnings) == (0, ())
        own_server.configure(synchronous_commit="off")
        try:
            until_true(lambda: not acknowledgement_meaning(database).is_on_disk)
            assert "synchronous_commit" in acknowledgement_meaning(database).warnings[0]
        finally:
            own_server.configure(synchronous_commit="on")


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE sessions (id int)"],
        ["CREATE TABLE alembic_version (version_num text)"],
        [
            "CREATE TABLE alembic_version (version_num text)",
            "INSERT INTO alembic_version VALUES ('ae1027a6acf')",
        ],
        [
            "CREATE TABLE alembic_version (version_num text)",
            "INSERT INTO alembic_version VALUES ('4')",
        ],
    ],
)
def test_a_database_of_another_program_is_refused_and_left_alone(postgres_url, statements):
    """Its tables may have the names of ours, and Alembic may have made them."""
    names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
        before = connection.execute(names).fetchall()

        with pytest.raises(SettingError, match="tables of another program"):
            open_postgres(postgres_url, BridgeDescription("a"), wait_seconds=0)

        assert connection.execute(names).fetchall() == before
