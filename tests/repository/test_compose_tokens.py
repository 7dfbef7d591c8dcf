"""deploy/compose/compose.tokens.yaml asks everybody for a token, each of whom has one, and changes nothing else."""

import re
import subprocess

import yaml
from support.compose import services_of
from support.markdown import blocks
from support.tools import ROOT, tool

from bridge import cli
from bridge.access.identity import Role
from bridge.access.tokens import hash_of_token, read_tokens

FOLDER = ROOT / "deploy" / "compose"
MORE = yaml.safe_load((FOLDER / "compose.tokens.yaml").read_text())["services"]
BASE = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
[STEPS] = [
    block
    for block in blocks((FOLDER / "README.md").read_text(), "console")
    if "compose.tokens.yaml" in block
]

ROLES = {"trainer": Role.INGEST, "prometheus": Role.METRICS, "alertmanager": Role.CONTROL}
"""What the token of each service that comes to the bridge must allow, and no more."""


def mounts(service):
    """Return what is mounted beside the base, as {target: source}."""
    return {
        target: source for source, target, _ in (v.split(":") for v in MORE[service]["volumes"])
    }


def merged():
    """Return all services as podman-compose merges both files."""
    return services_of(FOLDER, "compose.yaml", "compose.tokens.yaml")


def test_both_files_make_one_stack():
    """Nothing is mounted twice, no service is new, and the bridge keeps the rest of its settings."""
    services = merged()

    assert set(services) == set(BASE)
    for name, service in services.items():
        targets = [volume.split(":")[1] for volume in service.get("volumes", ())]
        assert len(targets) == len(set(targets)), name
    environment = services["bridge"]["environment"]
    assert environment["TRAINBRIDGE_ALLOW_ANONYMOUS"] == "false"
    assert set(BASE["bridge"]["environment"]) < set(environment)


def test_commands_differ_by_the_file_that_they_read():
    """Compose replaces a command as a whole: a flag that is added to the base must be added here."""
    for name in ("prometheus", "alertmanager"):
        with_tokens = [word.replace(".tokens.yaml", ".yaml") for word in MORE[name]["command"]]
        assert with_tokens == BASE[name]["command"]


def test_prometheus_differs_by_its_token():
    """Its configuration is that of the base, with a file for the token of one job."""
    base, more = (
        yaml.safe_load((FOLDER / name).read_text())
        for name in ("prometheus.yaml", "prometheus.tokens.yaml")
    )
    [job] = [job for job in more["scrape_configs"] if "authorization" in job]
    file = job.pop("authorization")["credentials_file"]

    assert job["job_name"] == "trainbridge"
    assert more == base
    assert file.rpartition("/")[0] in mounts("prometheus")


def test_alertmanager_differs_by_its_token(tmp_path):
    """Its configuration is the one that is explained, with a file for the token; Alertmanager takes it."""
    base = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alertmanager.yaml").read_text())
    more = yaml.safe_load((FOLDER / "alertmanager.tokens.yaml").read_text())
    subprocess.run(
        [tool("amtool"), "check-config", FOLDER / "alertmanager.tokens.yaml"],
        check=True,
        capture_output=True,
    )
    [hook] = more["receivers"][0]["webhook_configs"]
    file = hook.pop("http_config")["authorization"]["credentials_file"]

    assert more == base
    assert file.rpartition("/")[0] in mounts("alertmanager")


def test_nobody_has_the_token_of_another():
    """Each service sees a folder of its own, which no commit takes along, and the bridge the one with the hashes."""
    folders = {
        name: [source for source in mounts(name).values() if "/access/" in source] for name in MORE
    }

    assert folders == {name: [f"./access/{name}"] for name in (*ROLES, "bridge")}
    assert "/deploy/compose/access/" in (ROOT / ".gitignore").read_text().splitlines()


def test_steps_make_tokens_that_the_bridge_knows(monkeypatch, tmp_path, capsys):
    """Carried out, each of them prints a token whose hash stands in the file of the bridge, with the role of the service."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "access" / "bridge").mkdir(parents=True)
    tokens = {}
    for line in re.findall(r"^trainbridge (token new [^>\n]+)", STEPS, re.MULTILINE):
        words = line.split()
        assert cli.main(words) == 0
        tokens[words[2]] = capsys.readouterr().out.strip()
    entries = read_tokens(tmp_path / "access" / "bridge" / "tokens.yaml")

    assert {entry.identity.name: entry.sha256 for entry in entries} == {
        name: hash_of_token(token) for name, token in tokens.items()
    }
    for entry in entries:
        assert entry.identity.may(ROLES.get(entry.identity.name, Role.CONTROL))
    assert set(tokens) == {*ROLES, "me"}


def test_steps_make_what_is_mounted():
    """The README makes a token for each service, with the role that it needs, where the service looks for it."""
    made = {
        name: (roles, file, target)
        for name, roles, file, target in re.findall(
            r"^trainbridge token new (\w+) --roles (\w+) --file (\S+) > (\S+)$", STEPS, re.MULTILINE
        )
    }

    assert {name: roles for name, (roles, _, _) in made.items()} == ROLES
    for name, (_, file, target) in made.items():
        assert file == "access/bridge/tokens.yaml"
        assert target == f"access/{name}/token"
        assert target.rpartition("/")[0] in STEPS[: STEPS.index("trainbridge token")]


def test_the_bridge_accepts_its_settings(monkeypatch, capsys, tmp_path):
    """Both environments together are settings that a bridge starts with."""
    environment = {**BASE["bridge"]["environment"], **MORE["bridge"]["environment"]}
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text("tokens: []")
    environment["TRAINBRIDGE_TOKENS_FILE"] = str(tokens)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert cli.main(["check-config", "--json"]) == 0, capsys.readouterr()
