"""The password of a PostgreSQL comes out of no bridge: not while it works, not while the database is away, not as it fails to start."""

import urllib.error
from urllib.parse import urlsplit

from support.bridges import launched
from support.proxy import proxying
from support.waiting import until_true

from bridge import cli
from bridge.client import TrainingSession

PASSWORD = "planted-password%40of-the-database"
DECODED = PASSWORD.replace("%40", "@")


def flags_of(url, tmp_path):
    """Return the settings of a bridge whose URL holds the password."""
    parts = urlsplit(url)
    database = parts.path.partition("?")[0]
    return (
        *("--state", f"postgresql://{parts.username}:{PASSWORD}@{{address}}{database}"),
        *("--images-store", (tmp_path / "images").as_uri(), "--log-level", "debug"),
        *("--spool-folder", str(tmp_path / "spool"), "--shutdown-grace-seconds", "2"),
    )


def page(bridge, path):
    """Return what a page says, whatever its status."""
    try:
        return bridge.get(path).decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_the_password_is_nowhere(postgres_server, postgres_url, tmp_path, capsys):
    """In log, pages, /metrics, files and the table of settings, before, during and after an outage."""
    with proxying(postgres_server.address) as proxy:
        flags = [one.format(address=proxy.address) for one in flags_of(postgres_url, tmp_path)]
        with launched(tmp_path / "bridge", *flags) as launch:
            bridge = launch.ready()
            with TrainingSession(bridge.grpc, session_id="run") as session:
                session.log_batch(1.0, epoch=0, batch=0)
                assert session.flush(60) == 0
                proxy.refuse()
                session.log_batch(1.0, epoch=0, batch=1)
                until_true(
                    lambda: "cannot be used" in page(bridge, "/readyz?verbose"),
                    seconds=60,
                    what="the bridge says that the database is away",
                )
                paths = ("/", "/sessions/run", "/readyz?verbose", "/metrics", "/api/v1/sessions")
                shown = [page(bridge, path) for path in paths]
                proxy.pass_on()
                assert session.flush(60) == 0
            shown += [page(bridge, path) for path in paths]
            bridge.stop()
        shown.append(launch.log.read_text())
        proxy.refuse()
        assert cli.main(["check-config", "--connect", *flags]) == 1
        shown.append("".join(capsys.readouterr()))
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    for secret in (PASSWORD, DECODED):
        assert secret.encode() not in kept
        assert not [text for text in shown if secret in text]
    assert "connection database (postgresql://" in shown[-1]
