"""deploy/compose fits together: its files, names, ports, settings and configurations, and what the documents say of them."""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import yaml
from support.compose import services_of
from support.repository import files
from support.tools import ROOT, tool

from bridge import cli

FOLDER = ROOT / "deploy" / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
TEMPO = yaml.safe_load((FOLDER / "tempo.yaml").read_text())
DATA_SOURCES = ROOT / "grafana" / "provisioning" / "datasources" / "trainbridge.yaml"
PAGE = (FOLDER / "README.md").read_text()

LISTENS = {
    "bridge": {8080, 50051},
    "prometheus": {9090},
    "alertmanager": {9093},
    "grafana": {3000},
    "tempo": {3200, 4317},
    "s3": {7070},
}
"""The ports at which the programs listen inside their containers."""

KEYS = {
    *("image", "build", "command", "entrypoint", "environment", "ports", "volumes", "depends_on"),
    *("healthcheck", "read_only", "tmpfs", "cap_drop", "security_opt"),
    *("stop_grace_period", "restart"),
}
"""What docker compose and podman-compose both understand, and in the same way."""

OWN = {"trainbridge", "trainbridge-demo"}


def mounts(service):
    """Return what a service mounts, as pairs of source and target."""
    return [tuple(text.split(":")[:2]) for text in SERVICES[service].get("volumes", ())]


def environment(service):
    """Return the variables of a service."""
    return SERVICES[service].get("environment", {})


def texts(value):
    """Return every text in a structure."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [str(value)]


def test_both_programs_understand_it():
    """Nothing but what docker compose and podman-compose have in common; a variable is a text, never true or false."""
    assert set(COMPOSE) == {"name", "services", "volumes"}
    for name, service in SERVICES.items():
        assert set(service) <= KEYS, name
        assert isinstance(service.get("depends_on", []), list), name
        assert all(isinstance(text, str) for text in environment(name).values()), name


def test_podman_compose_reads_it():
    """podman-compose finds every service in it."""
    assert set(services_of(FOLDER, "compose.yaml")) == set(SERVICES)


def test_images_are_pinned():
    """Each image of others is named in full, with the version; ours are built from this checkout."""
    for name, service in SERVICES.items():
        if "build" in service:
            assert service["image"] in OWN
            assert (FOLDER / service["build"]["context"]).resolve() == ROOT
        else:
            assert re.fullmatch(r"docker\.io/[\w-]+/[\w-]+:v?\d+\.\d+\.\d+", service["image"]), name


def test_only_this_machine_reaches_it():
    """Every published port is bound to loopback, is the port of a program, and stands in the README with its URL."""
    for name, service in SERVICES.items():
        for text in service.get("ports", ()):
            host, outside, inside = text.split(":")
            assert host == "127.0.0.1"
            assert outside == inside
            assert int(inside) in LISTENS[name]
            assert f"localhost:{outside}" in PAGE


def test_what_is_mounted_is_there():
    """Files and folders are in the checkout and cannot be changed from inside; every named volume is declared and used."""
    tracked = set(files())
    named = set()
    for name, service in SERVICES.items():
        for text in service.get("volumes", ()):
            source, _, *options = text.split(":")
            if not source.startswith("."):
                named.add(source)
                continue
            path = (FOLDER / source).resolve()
            assert path in tracked or any(path in each.parents for each in tracked), text
            assert options == ["ro,z"], f"{name}: {text}"

    assert named == set(COMPOSE["volumes"])


def test_every_address_is_a_service_that_listens_there():
    """Wherever a configuration names a service and a port, that service listens at it."""
    found = []
    alertmanager = yaml.safe_load((ROOT / "deploy/prometheus/alertmanager.yaml").read_text())
    for text in texts([SERVICES, PROMETHEUS, alertmanager]):
        for name, port in re.findall(rf"\b({'|'.join(LISTENS)}):(\d{{4,5}})\b", text):
            found.append((name, int(port)))

    assert {name for name, _ in found} == set(LISTENS)
    assert [each for each in found if each[1] not in LISTENS[each[0]]] == []


def test_every_service_is_healthy_or_not():
    """Each service but the trainer, which has nobody to answer, says whether it works, and comes back by itself."""
    assert {name for name, each in SERVICES.items() if "healthcheck" not in each} == {"trainer"}
    assert {each["restart"] for each in SERVICES.values()} == {"unless-stopped"}


def test_the_bridge_accepts_its_settings(monkeypatch, capsys):
    """Each variable is a setting, with a value that it takes; the keys are those of the S3 server."""
    for name, value in environment("bridge").items():
        monkeypatch.setenv(name, value)
    assert cli.main(["check-config", "--json"]) == 0
    shown = capsys.readouterr().out

    assert all(name.removeprefix("TRAINBRIDGE_").lower() in shown for name in environment("bridge"))
    keys = [environment("bridge")[f"TRAINBRIDGE_S3_{name}_KEY"] for name in ("ACCESS", "SECRET")]
    assert keys == list(environment("s3").values())
    bucket = re.match("s3://([^/]+)", environment("bridge")["TRAINBRIDGE_IMAGES_STORE"])[1]
    assert f"mkdir -p /data/{bucket} " in SERVICES["s3"]["entrypoint"][-1]


def test_the_trainer_is_a_demo():
    """Its command is one that the demo takes, and its image has the extras of the package that it needs."""
    name, *words = SERVICES["trainer"]["command"]
    [command] = [each for each in cli.COMMANDS if each.name == name]
    parser = argparse.ArgumentParser()
    command.arguments(parser)

    assert parser.parse_args(words).address == "bridge:50051"
    assert command.extra in SERVICES["trainer"]["build"]["args"]["EXTRAS"].split()


def test_prometheus_accepts_its_configuration(tmp_path):
    """By promtool, with the rules where the configuration looks for them; exemplars are kept."""
    text = (FOLDER / "prometheus.yaml").read_text()
    for source, target in mounts("prometheus"):
        if source.startswith("."):
            copy = tmp_path / target.rpartition("/")[2]
            shutil.copy(FOLDER / source, copy)
            text = text.replace(target, str(copy))
    (tmp_path / "prometheus.yaml").write_text(text)
    subprocess.run(
        [tool("promtool"), "check", "config", tmp_path / "prometheus.yaml"],
        check=True,
        capture_output=True,
    )

    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]
    assert set(PROMETHEUS["rule_files"]) <= {target for _, target in mounts("prometheus")}


def test_alertmanager_accepts_its_configuration():
    """By amtool; alerts about sessions go to the bridge's own address."""
    [path] = [FOLDER / source for source, _ in mounts("alertmanager") if source.startswith(".")]
    subprocess.run([tool("amtool"), "check-config", path], check=True, capture_output=True)

    assert "http://bridge:8080/" in path.read_text()


def test_everything_that_has_series_is_scraped():
    """Each job is one service; only the trainer and the S3 server have none."""
    jobs = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}
    targets = {
        target.split(":")[0]
        for job in PROMETHEUS["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }

    assert targets - {"localhost"} | {"prometheus"} == set(SERVICES) - {"trainer", "s3"}
    assert jobs == {"trainbridge", "prometheus", "alertmanager", "grafana", "tempo"}


def test_grafana_has_what_its_files_ask_for():
    """Data sources get the variables that they name, boards lie where their provider looks, the scrape interval is theirs."""
    sources = DATA_SOURCES.read_text()
    named = set(re.findall(r"(?<!\$)\$\{(\w+)\}", sources))
    targets = dict(mounts("grafana"))
    provider = yaml.safe_load(
        (ROOT / "grafana/provisioning/dashboards/trainbridge.yaml").read_text()
    )
    home = environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    boards = [source for source, target in targets.items() if target.endswith(".json")]

    assert named
    assert named <= set(environment("grafana"))
    assert home in targets.values()
    assert {targets[board].rpartition("/")[0] for board in boards} == {
        provider["providers"][0]["options"]["path"]
    }
    intervals = re.findall(r"timeInterval: (\w+)", sources)
    assert intervals == [PROMETHEUS["global"]["scrape_interval"]]


def test_grafana_shows_the_boards_that_work_there():
    """All of them but those that ask a kind of data source which is not among the files."""
    provisioned = {
        source["type"] for source in yaml.safe_load(DATA_SOURCES.read_text())["datasources"]
    }
    shown = {Path(source).name for source, target in mounts("grafana") if target.endswith(".json")}
    files = (ROOT / "grafana" / "dashboards").rglob("*.json")

    assert shown == {file.name for file in files if asked_kinds(file) <= provisioned}


def asked_kinds(board):
    """Return the kinds of data sources that a board asks, other than those that are part of Grafana."""
    kinds = re.findall(r'"datasource": \{\s*"type": "([\w-]+)"', board.read_text())
    return set(kinds) - {"grafana", "datasource"}


def test_links_lead_to_what_is_published():
    """Browsers find the bridge and Grafana where the bridge and Grafana say that they are."""
    urls = [
        environment("bridge")["TRAINBRIDGE_PUBLIC_URL"],
        environment("bridge")["TRAINBRIDGE_GRAFANA_URL"],
        environment("grafana")["GF_SERVER_ROOT_URL"],
        environment("grafana")["TRAINBRIDGE_PUBLIC_URL"],
    ]
    published = {text.split(":")[1] for each in SERVICES.values() for text in each.get("ports", ())}

    assert {url.rpartition(":")[2] for url in urls} <= published
    assert urls[0] == urls[3]
    assert urls[1] == urls[2]


def test_tempo_listens_where_it_is_asked():
    """Its ports are those of the bridge's and Grafana's configurations, and its files lie on its volume."""
    receiver = TEMPO["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert {TEMPO["server"]["http_listen_port"], int(receiver.split(":")[1])} == LISTENS["tempo"]
    volume = dict(mounts("tempo"))["tempo"]
    storage = TEMPO["storage"]["trace"]
    assert {storage[kind]["path"].rpartition("/")[0] for kind in ("wal", "local")} == {volume}
