"""deploy/compose/compose.postgres.yaml runs three bridges on one PostgreSQL behind a proxy, and changes nothing else."""

import re
import subprocess

import pytest
import yaml
from support.compose import services_of
from support.markdown import blocks
from support.tools import ROOT, tool

from bridge import cli

FOLDER = ROOT / "deploy" / "compose"
MORE = yaml.safe_load((FOLDER / "compose.postgres.yaml").read_text())
SERVICES = MORE["services"]
BASE = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
BRIDGES = ("bridge", "bridge-2", "bridge-3")
NEW = {"haproxy", "postgres", "bridge-2", "bridge-3"}
PROXY = (FOLDER / "haproxy.cfg").read_text()
PAGE = (FOLDER / "README.md").read_text()


def environment(name):
    """Return the variables of a bridge, with those of the base that it keeps."""
    base = BASE["bridge"]["environment"] if name == "bridge" else {}
    return {**base, **SERVICES[name]["environment"]}


def state_url():
    """Return the URL of the database that bridges read from a file."""
    return (FOLDER / "postgres" / "state-url").read_text().strip()


def mounted(name):
    """Return what a service mounts of this folder, as {path inside: file here}."""
    pairs = (text.split(":") for text in SERVICES[name]["volumes"] if text.startswith("."))
    return {inside: FOLDER / here for here, inside, _ in pairs}


def test_both_files_make_one_stack():
    """Nothing of the base gets lost, and nothing is mounted twice."""
    services = services_of(FOLDER, "compose.yaml", "compose.postgres.yaml")

    assert set(services) == set(BASE) | NEW
    for name, service in services.items():
        targets = [volume.split(":")[1] for volume in service.get("volumes", ())]
        assert len(targets) == len(set(targets)), name
    assert {name: services[name]["environment"] for name in BRIDGES} == {
        name: environment(name) for name in BRIDGES
    }


def test_images_are_pinned_and_only_this_machine_reaches_them():
    """Those of others are named in full, with a version; what is published stands in the README, and is nobody else's."""
    published = [text for service in BASE.values() for text in service.get("ports", ())]
    for name in NEW - set(BRIDGES):
        assert re.fullmatch(r"docker\.io/library/[a-z]+:\d+\.\d+(\.\d+)?", SERVICES[name]["image"])
    for name in NEW & set(BRIDGES):
        assert SERVICES[name]["image"] == BASE["bridge"]["image"]
    for name in SERVICES:
        for text in SERVICES[name].get("ports", ()):
            host, outside, _ = text.split(":")
            assert host == "127.0.0.1"
            assert f"localhost:{outside}" in PAGE
            assert outside not in [port.split(":")[1] for port in published]


def test_every_new_service_is_healthy_or_not():
    """Each says whether it works, and comes back by itself, as those of the base do."""
    assert all("healthcheck" in SERVICES[name] for name in NEW)
    assert {SERVICES[name]["restart"] for name in NEW} == {"unless-stopped"}
    volumes = {
        text.split(":")[0]
        for name in NEW
        for text in SERVICES[name]["volumes"]
        if not text.startswith(".")
    }
    assert volumes == set(MORE["volumes"])


def test_bridges_differ_by_their_address_alone():
    """They share the database, the store and the links, and each has a spool of its own."""
    addresses = {name: environment(name)["TRAINBRIDGE_PEER_URL"] for name in BRIDGES}
    shared = [
        {key: value for key, value in environment(name).items() if key != "TRAINBRIDGE_PEER_URL"}
        for name in BRIDGES
    ]

    assert addresses == {name: f"http://{name}:8080" for name in BRIDGES}
    assert shared[0] == shared[1] == shared[2]
    kept = {key: BASE["bridge"][key] for key in ("healthcheck", "read_only", "tmpfs", "cap_drop")}
    for name in BRIDGES[1:]:
        assert {key: SERVICES[name][key] for key in kept} == kept
        assert f"{name}:/var/lib/trainbridge" in SERVICES[name]["volumes"]
        assert mounted(name) == mounted("bridge")


def test_the_url_is_that_of_the_database():
    """User, password and name are those that the server makes at its first start."""
    made = SERVICES["postgres"]["environment"]
    password = mounted("postgres")[made["POSTGRES_PASSWORD_FILE"]].read_text().strip()

    assert (
        state_url()
        == f"postgresql://{made['POSTGRES_USER']}:{password}@postgres:5432/{made['POSTGRES_DB']}"
    )
    probe = SERVICES["postgres"]["healthcheck"]["test"]
    assert f"--username={made['POSTGRES_USER']}" in probe
    assert f"--dbname={made['POSTGRES_DB']}" in probe


def test_the_password_is_in_files_alone():
    """Whoever inspects a container sees none of it, as in production."""
    password = mounted("postgres")["/etc/postgres/password"].read_text().strip()
    variables = [
        (name, value)
        for service in NEW | {"bridge"}
        for name, value in SERVICES[service].get("environment", {}).items()
    ]

    assert [
        name
        for name, value in variables
        if password in value and not name.startswith("TRAINBRIDGE_S3_")
    ] == []


@pytest.mark.parametrize("name", BRIDGES)
def test_each_bridge_accepts_its_settings(name, monkeypatch, capsys):
    """Each variable is a setting, with a value that it takes, and the password is not shown."""
    for variable, value in environment(name).items():
        monkeypatch.setenv(variable, str(mounted(name).get(value, value)))
    assert cli.main(["check-config", "--json"]) == 0
    shown = capsys.readouterr().out

    assert "postgresql://bridge:********@postgres:5432/bridges" in shown
    assert "nothing-but-this-demo@" not in shown


def test_haproxy_accepts_its_configuration(tmp_path):
    """By HAProxy itself, with addresses in place of names, which it finds among containers alone."""
    text = re.sub(r"(server \S+) [a-z0-9-]+:", r"\1 127.0.0.1:", PROXY)
    (tmp_path / "haproxy.cfg").write_text(text)
    done = subprocess.run(
        [tool("haproxy"), "-c", "-f", tmp_path / "haproxy.cfg"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_haproxy_spreads_over_every_bridge():
    """Both ports by the same rule, to the ports at which bridges listen; what is published is what it listens at."""
    servers = re.findall(r"^  server (\S+) (\S+):(\d+)$", PROXY, re.MULTILINE)
    listens = set(re.findall(r"^  bind :(\d+)$", PROXY, re.MULTILINE))
    inside = {text.split(":")[2] for text in SERVICES["haproxy"]["ports"]}

    assert servers == [(name, name, port) for port in ("50051", "8080") for name in BRIDGES]
    assert inside < listens
    assert "balance leastconn" in PROXY
    assert "hard-stop-after" in PROXY
    assert "mode tcp" in PROXY
    assert [text.split(":")[1] for text in SERVICES["haproxy"]["volumes"]] == [
        "/usr/local/etc/haproxy/haproxy.cfg"
    ]


def test_haproxy_is_asked_for_its_health():
    """At the port and the path of its own that answer without any bridge."""
    [*_, script] = SERVICES["haproxy"]["healthcheck"]["test"]
    port, path = re.search(r"/dev/tcp/127\.0\.0\.1/(\d+) .*GET (\S+) HTTP", script).groups()

    assert f"  bind :{port}\n" in PROXY
    assert f"return status 200 if {{ path {path} }}" in PROXY


def test_prometheus_scrapes_each_bridge_by_itself():
    """Through the proxy it would get one of them each time; beyond that its configuration is that of the base."""
    base, more = (
        yaml.safe_load((FOLDER / name).read_text())
        for name in ("prometheus.yaml", "prometheus.postgres.yaml")
    )
    proxy = more["scrape_configs"].pop()
    [job] = [job for job in more["scrape_configs"] if job["job_name"] == "trainbridge"]
    targets = job["static_configs"][0]["targets"]
    job["static_configs"][0]["targets"] = ["bridge:8080"]

    assert targets == [f"{name}:8080" for name in BRIDGES]
    assert more == base
    [address] = proxy["static_configs"][0]["targets"]
    assert f"bind :{address.partition(':')[2]}" in PROXY
    command = [
        word.replace(".postgres.yaml", ".yaml") for word in SERVICES["prometheus"]["command"]
    ]
    assert command == BASE["prometheus"]["command"]


def test_the_trainer_reaches_whichever_bridge_there_is():
    """It differs by its address; links lead to what the proxy publishes."""
    url = environment("bridge")["TRAINBRIDGE_PUBLIC_URL"]
    words = [
        word.replace("=haproxy:", "=bridge:").replace(url, "http://localhost:8080")
        for word in SERVICES["trainer"]["command"]
    ]

    assert words == BASE["trainer"]["command"]
    assert SERVICES["grafana"]["environment"] == {"TRAINBRIDGE_PUBLIC_URL": url}
    assert "127.0.0.1:8090:8080" in SERVICES["haproxy"]["ports"]


def test_the_readme_says_what_to_try():
    """Its commands name services that there are."""
    [steps] = [text for text in blocks(PAGE, "console") if "compose.postgres.yaml" in text]
    killed = re.findall(r"kill --signal KILL (\S+)", steps)

    assert killed
    assert set(killed) <= set(BASE) | NEW


def test_alerts_go_to_whichever_bridge_is_up():
    """Alertmanager differs by the proxy that it posts to; it takes the file, and is started with it."""
    base = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alertmanager.yaml").read_text())
    path = FOLDER / "alertmanager.postgres.yaml"
    more = yaml.safe_load(path.read_text())
    subprocess.run([tool("amtool"), "check-config", path], check=True, capture_output=True)
    [hook], [explained] = (one["receivers"][0]["webhook_configs"] for one in (more, base))

    [alias] = SERVICES["haproxy"]["networks"]["default"]["aliases"]
    assert hook["url"] == explained["url"].replace("//bridge:", f"//{alias}:")
    hook["url"] = explained["url"]
    assert more == base
    service = SERVICES["alertmanager"]
    before = [text.replace(".postgres.yaml", ".yaml") for text in service["command"]]
    assert before == BASE["alertmanager"]["command"]
    assert service["volumes"] == [
        "./alertmanager.postgres.yaml:/etc/alertmanager/alertmanager.postgres.yaml:ro,z"
    ]
