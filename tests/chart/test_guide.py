"""docs/kubernetes.md works in the order in which it is written: what a step uses was made by one before."""

import re
import shlex
import subprocess

import kubernetes_validate
import pytest
import yaml
from support.charts import CHART, IMAGE, ROOT, called, objects, values
from support.cluster import check_extension, extension, pods
from support.markdown import prose
from support.tools import tool

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
BLOCKS = re.findall(r"^```(console|yaml)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
KEYS = {value.path.partition(".")[0] for value in values()}
PATHS = {value.path for value in values()}
FRAGMENTS = [
    found
    for kind, text in BLOCKS
    if kind == "yaml" and (found := yaml.safe_load(text)).keys() <= KEYS
]
EXAMPLES = [
    (f"fragment {number}", thing)
    for number, fragment in enumerate(FRAGMENTS)
    for thing in objects({**IMAGE, **fragment})
]
RELEASE, NAMESPACE = "trainbridge", "training"


def merged(base, more):
    """Return values as Helm merges two files of them."""
    both = dict(base)
    for key, value in more.items():
        inner = both.get(key)
        is_deeper = isinstance(inner, dict) and isinstance(value, dict)
        both[key] = merged(inner, value) if is_deeper else value
    return both


class Walk:
    """Somebody who carries out the page, block by block; what a step needs must be there."""

    def __init__(self):
        self.secrets = {}
        """The keys of each Secret that was made."""
        self.namespaces = set()
        self.values = None
        """What stands in values.yaml."""
        self.release = None
        """The objects of the release."""
        self.files = set()
        """Files that commands wrote."""
        self.left = set()
        """Commands, as far as they were recognized."""

    def read(self, fragment):
        """Take values down: the first ones are the file, what follows is added to it where it is tried."""
        self.values = self.values or fragment
        self._check_secrets(objects(merged(self.values, fragment)))

    def carry_out(self, line):
        """Carry out one command, and what it is piped into."""
        for part in line.split(" | "):
            self._carry_out_one(part)

    def _carry_out_one(self, line):
        line = re.sub(r"(--file) (\S+)", r"\1=\2", line)
        line, _, file = line.partition(" > ")
        self.files.add(file.strip())
        program, *words = shlex.split(line)
        if program == "tr":
            return
        flags = {
            name: value
            for name, _, value in (word.partition("=") for word in words if word.startswith("--"))
        }
        if "--namespace" in words:
            at = words.index("--namespace")
            assert words[at + 1] in self.namespaces
            del words[at : at + 2]
        words = [word for word in words if not word.startswith("--") or "from-file" in word]
        self.left.add((program, words[0]))
        getattr(self, f"_{program}_{words[0]}")(words[1:], flags)

    def _kubectl_create(self, words, flags):
        if words[0] == "namespace":
            self.namespaces.add(words[1])
            return
        assert words[0] == "secret"
        if words[1] == "tls":
            assert flags["--cert"]
            assert flags["--key"]
            self.secrets[words[2]] = {"tls.crt", "tls.key"}
        else:
            files = [word.removeprefix("--from-file=").partition("=") for word in words[3:]]
            self.secrets[words[2]] = {key for key, _, _ in files}
            assert {file for _, _, file in files if file} <= self.files

    def _kubectl_rollout(self, words, _flags):
        assert words[0] in ("status", "restart")
        assert self._has(*words[1].split("/"))

    def _kubectl_get(self, words, flags):
        assert words == ["pvc"] or "--raw" in flags

    def _trainbridge_token(self, words, flags):
        assert words[0] == "new"
        self.files.add(flags["--file"])

    def _helm_install(self, words, _flags):
        assert self.release is None
        self._helm_upgrade(words, _flags)

    def _helm_upgrade(self, words, _flags):
        release, chart, *rest = words
        assert (release, ROOT / chart, rest[-1:]) == (RELEASE, CHART, ["values.yaml"])
        self.release = objects(self.values, name=release, namespace=NAMESPACE)
        self._check_secrets(self.release)

    def _helm_test(self, words, _flags):
        assert words == [RELEASE]
        assert self._has("pod", f"{RELEASE}-test")

    def _helm_rollback(self, words, _flags):
        assert words == [RELEASE]
        assert self.release

    def _helm_uninstall(self, words, _flags):
        assert words == [RELEASE]
        assert self.release
        self.release = None

    def _has(self, kind, name):
        return any(
            (thing["kind"].lower(), thing["metadata"]["name"]) == (kind, name)
            for thing in self.release or ()
        )

    def _check_secrets(self, things):
        """Fail where objects need a Secret, or a key of one, that nothing has made so far."""
        made = {
            thing["spec"]["secretName"]: {"tls.crt", "tls.key"}
            for thing in things
            if thing["kind"] == "Certificate"
        } | self.secrets
        for name, keys in needed(things):
            assert name in made, f"{name} is used before it is made"
            assert keys <= made[name], f"{name} lacks {keys - made[name]}"


def needed(things):
    """Yield the Secrets that objects use, with the keys that they use of them."""
    for _, spec in pods(things):
        for volume in spec["volumes"]:
            if secret := volume.get("secret"):
                yield secret["secretName"], {item["key"] for item in secret.get("items", [])}
    for thing in things:
        if thing["kind"] == "Ingress":
            for tls in thing["spec"].get("tls", []):
                yield tls["secretName"], {"tls.crt", "tls.key"}


def commands(text):
    """Return the commands of a block, each on one line."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_the_guide_can_be_walked():
    """Namespaces, Secrets and objects exist before a command or a value uses them."""
    walk = Walk()

    for kind, text in BLOCKS:
        if kind == "yaml":
            fragment = yaml.safe_load(text)
            if fragment.keys() <= KEYS:
                walk.read(fragment)
        else:
            for line in commands(text):
                if not line.startswith("TRAINBRIDGE_"):
                    walk.carry_out(line)

    assert ("helm", "test") in walk.left
    assert walk.release is None
    assert len(walk.secrets) >= 6


def test_the_walk_notices_a_secret_that_comes_too_late():
    """The check above can fail: the page once installed before it made the Secret."""
    walk = Walk()
    walk.carry_out("kubectl create namespace training")
    walk.values = FRAGMENTS[0]

    with pytest.raises(AssertionError, match="trainbridge-s3 is used before it is made"):
        walk.carry_out(
            "helm install trainbridge deploy/helm/trainbridge --namespace training --values values.yaml"
        )


@pytest.mark.parametrize("entry", EXAMPLES, ids=called)
def test_kubernetes_takes_what_the_guide_makes(entry):
    """Every example of values gives valid objects."""
    thing = entry[1]
    if extension(thing).exists():
        check_extension(thing)
    elif thing["kind"] != "BackendTrafficPolicy":
        assert kubernetes_validate.validate(thing, "1.34", strict=True)


def test_trainers_are_pointed_at_the_service_that_there_is():
    """The address in the guide is that of the release in the guide."""
    [address] = re.findall(r"^TRAINBRIDGE_ADDRESS=(\S+)$", PAGE, re.MULTILINE)
    [service] = [
        thing
        for thing in objects(FRAGMENTS[0], name=RELEASE, namespace=NAMESPACE)
        if thing["kind"] == "Service" and thing["spec"].get("clusterIP") is None
    ]
    [port] = [port["port"] for port in service["spec"]["ports"] if port["name"] == "grpc"]

    assert address == f"{service['metadata']['name']}.{NAMESPACE}.svc:{port}"


def test_a_trainer_comes_in_by_what_kubernetes_gives_it():
    """The pod of the guide is valid, holds no Secret, and shows a token made out to the bridge, of an account that may stream."""
    [pod] = [
        found
        for kind, text in BLOCKS
        if kind == "yaml" and (found := yaml.safe_load(text)).get("kind") == "Pod"
    ]
    [access] = [
        fragment["access"]
        for fragment in FRAGMENTS
        if "serviceAccounts" in fragment.get("access", {})
    ]
    [container] = pod["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    [volume] = pod["spec"]["volumes"]
    [source] = volume["projected"]["sources"]
    account = access["serviceAccounts"][0]
    [audience] = [value.default for value in values() if value.path == "access.oidc.audience"]

    assert kubernetes_validate.validate(pod, "1.34", strict=True)
    assert source["serviceAccountToken"]["audience"] == audience
    assert (
        environment["TRAINBRIDGE_TOKEN_FILE"]
        == container["volumeMounts"][0]["mountPath"] + "/token"
    )
    assert pod["metadata"]["namespace"] == account["namespace"]
    assert pod["spec"]["serviceAccountName"] == account["name"]
    assert environment["TRAINBRIDGE_SESSION_PREFIX"] == account["sessions"]


def test_prometheus_takes_the_scrape_configuration(tmp_path):
    """The program promtool reads it, discovery apart, which some builds lack; and it keeps the pods that the chart makes."""
    [config] = [
        found
        for kind, text in BLOCKS
        if kind == "yaml" and "scrape_configs" in (found := yaml.safe_load(text))
    ]
    [access] = [
        found
        for kind, text in BLOCKS
        if kind == "yaml" and "authorization" in (found := yaml.safe_load(text))
    ]
    [job] = config["scrape_configs"]
    job.update(access)
    assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [tool("promtool"), "check", "config", "--syntax-only", file],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    [labels] = [
        thing["spec"]["template"]["metadata"]["labels"]
        for thing in objects(FRAGMENTS[0], name=RELEASE)
        if thing["kind"] == "StatefulSet"
    ]

    assert done.returncode == 0, done.stdout + done.stderr
    assert job["relabel_configs"][0]["regex"] == ";".join(
        labels[f"app.kubernetes.io/{label}"] for label in ("name", "component")
    )


def test_values_in_the_text_exist():
    """Whatever the text calls a value of the chart is one, or has some below it."""
    named = set(re.findall(r"`([a-z][A-Za-z0-9]*(?:\.[A-Za-z0-9_]+)+)`", prose(PAGE)))
    files = {"tls.crt", "tls.key"}
    found = {name for name in named - files if name.partition(".")[0] in KEYS}

    assert len(found) > 20
    for name in found:
        is_open = name.startswith(("affinity.", "podSecurityContext."))
        assert is_open or any(f"{path}.".startswith(f"{name}.") for path in PATHS), name
