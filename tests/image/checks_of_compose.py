"""deploy/compose/compose.postgres.yaml in containers: three bridges on one PostgreSQL behind HAProxy, as the file has them."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from image.stack import stack
from image.store import passed
from prometheus_client.parser import text_string_to_metric_families
from support.waiting import until_true

# The images may have to be built first.
pytestmark = pytest.mark.timeout(900)

BRIDGES = ("bridge", "bridge-2", "bridge-3")
SERVICES = ("postgres", "s3", *BRIDGES, "haproxy")
PROXY = "haproxy"
FILES = ("compose.yaml", "compose.postgres.yaml")
TRAINING = Path(__file__).with_name("training.py").read_text()
PASSWORD = "nothing-but-this-demo@"
UID = 65532


@pytest.fixture(scope="module")
def services(built, tmp_path_factory):
    """Return the services, all of which run."""
    with stack(built.store, built.name, tmp_path_factory.mktemp("stack"), *FILES) as made:
        made.compose("up", "--detach", "haproxy")
        until_healthy(made)
        yield made


def until_healthy(services):
    """Wait until every service says that it works, and the proxy has each bridge."""
    for name in SERVICES:
        until_true(partial(services.is_healthy, name), seconds=90, what=f"{name} is healthy")
    until_true(
        lambda: in_turn(services) == 6, seconds=60, what="the proxy has three bridges, twice"
    )


def in_turn(services):
    """Return how many servers HAProxy hands connections to."""
    page = services.read("bridge", f"http://{PROXY}:8405/metrics")
    return len(re.findall(r'^haproxy_server_status\{.*state="UP"\} 1$', page, re.MULTILINE))


def train(services, session_id, seconds):
    """Start a loop that trains through the proxy; return its container."""
    name = f"trainbridge_{session_id}"
    words = ("run", "--detach", "--name", name, "--pull=never", "--network", "trainbridge_default",
             "--entrypoint", "python", "trainbridge")  # fmt: skip  # flags beside their values
    passed(services.tried(*words, "-c", TRAINING, "haproxy:50051", session_id, str(seconds)), words)
    return name


def report(services, container):
    """Return what a loop reports at its end."""
    services.tried("wait", container)
    done = services.tried("logs", container)
    services.tried("rm", "--force", container)
    assert done.out, done.err
    return json.loads(done.out)


def counted(services, bridge, session_id):
    """Return how many batches of a session stand on a bridge's /metrics."""
    page = services.read(bridge, "http://127.0.0.1:8080/metrics")
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "training_batches_total" and sample.labels["session_id"] == session_id
    )


def owner(services, session_id):
    """Return the bridge that has a session, if any has counted batches of it."""
    return [name for name in BRIDGES if counted(services, name, session_id) > 50]


def session(services, session_id):
    """Return a session as the API has it, through the proxy."""
    return json.loads(
        services.read("bridge", f"http://{PROXY}:8080/api/v1/sessions/{session_id}") or "{}"
    )


def test_every_bridge_is_on_the_list_of_each(services):
    """Whoever is asked, through the proxy or not."""
    for url in (*(f"http://{name}:8080" for name in BRIDGES), f"http://{PROXY}:8080"):
        page = services.read("bridge", f"{url}/bridges")
        assert re.findall(r"http://(bridge[-\d]*):8080", page) != []
        assert set(re.findall(r"http://(bridge[-\d]*):8080", page)) == set(BRIDGES)


def test_no_container_may_do_more_than_it_must(services):
    """Bridges and proxy are nobody with a root that cannot be written to; the database's files are its user's."""
    for name in (*BRIDGES, "haproxy"):
        status = services.execute(name, "cat", "/proc/1/status")
        rights = dict(re.findall(r"^(\w+):\t(.*)$", status, re.MULTILINE))
        assert int(rights["CapBnd"], 16) == 0, name
        assert rights["NoNewPrivs"] == "1", name
        assert "0" not in rights["Uid"].split(), name
        assert services.state(name)["HostConfig"]["ReadonlyRootfs"], name
    for name in BRIDGES:
        owners = services.execute(name, "find", "/var/lib/trainbridge", "-printf", "%U %G\n")
        assert set(owners.splitlines()) == {f"{UID} {UID}"}
    ids = services.execute("postgres", "stat", "--format=%U %a", "/var/lib/postgresql/data")
    assert ids == "postgres 700\n"


def test_whoever_inspects_a_container_sees_no_password(services):
    """That of the database is in files."""
    for name in (*BRIDGES, "postgres"):
        variables = "\n".join(services.state(name)["Config"]["Env"])
        assert "STATE_FILE=" in variables or "PASSWORD_FILE=" in variables
        assert not re.search(r"postgresql://|POSTGRES_PASSWORD=", variables)


def test_a_run_goes_on_where_its_bridge_is_killed(services, figures):
    """Another bridge has it at once, nothing is lost or counted twice, and its images lie in the store."""
    loop = train(services, "survivor", 15)
    [killed] = until_true(lambda: owner(services, "survivor"), seconds=60, what="a bridge has it")
    services.compose("kill", "--signal", "KILL", killed)
    outcome = report(services, loop)
    others = [name for name in BRIDGES if name != killed]
    [heir] = [name for name in others if counted(services, name, "survivor")]
    total = counted(services, heir, "survivor")
    services.compose("start", killed)
    until_healthy(services)
    shards = services.execute("s3", "find", "/data/training-images/runs/survivor", "-type", "f")
    figures["compose"] = f"{outcome['batches']} batches over a bridge that was killed"

    assert outcome["connections"] >= 2
    assert (outcome["left"], outcome["dropped"], outcome["refused"]) == (0, 0, 0)
    assert total == outcome["batches"] == outcome["acknowledged"]
    assert ".tar" in shards
    for name in BRIDGES:
        assert services.read("bridge", f"http://{name}:8080/sessions/survivor/batches/0-0/0.jpg")


def test_it_stops_without_being_killed(services):
    """The proxy too, although a stream would go on, and each bridge while the database is there."""
    loop = train(services, "stopped", 600)
    until_true(lambda: owner(services, "stopped"), seconds=60, what="a bridge has it")
    services.compose("stop", "haproxy")
    services.compose("stop", *BRIDGES)
    ends = {name: services.state(name)["State"]["ExitCode"] for name in ("haproxy", *BRIDGES)}
    passed(services.tried("rm", "--force", "--time", "0", loop), ("rm", loop))

    assert ends == dict.fromkeys(ends, 0)


def test_all_is_there_again_after_down_and_up(services):
    """Containers are new and volumes are not: sessions, their images, and the same three bridges."""
    services.compose("down")
    assert services.tried("ps", "--all", "--quiet").out == ""
    services.compose("up", "--detach", "haproxy")
    until_healthy(services)
    after = session(services, "survivor")
    page = services.read("bridge", f"http://{PROXY}:8080/bridges")

    assert after["state"] == "completed"
    assert after["batches"] > 50
    assert len(re.findall(r"http://bridge[-\d]*:8080", page)) == len(BRIDGES)
    assert services.read("bridge", f"http://{PROXY}:8080/sessions/survivor/batches/0-0/0.jpg")


EXPECTED = ("allow_anonymous", "tempo", "were adopted")
"""Anybody gets in; the stand-in for Tempo takes no spans; what a bridge had that stopped is with another one."""


def test_logs_have_nothing_to_see_to(services):
    """But what the stack is bound to say; and no log has the password."""
    for name in BRIDGES:
        text = services.logs(name)
        lines = [line for line in text.splitlines() if not any(word in line for word in EXPECTED)]
        assert [line for line in lines if json.loads(line)["level"] != "info"] == []
        assert PASSWORD not in text
    assert not re.search(r"\b(ERROR|PANIC):", services.logs("postgres"))
