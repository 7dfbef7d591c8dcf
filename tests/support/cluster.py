"""What a cluster would say of an object: the schemas of Kubernetes and of its extensions, and the restricted standard."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).parents[1] / "chart" / "schemas"

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
"""Kinds of volumes that the restricted standard allows."""


def extension(thing: Mapping[str, Any]) -> Path:
    """Return where the schema of an extension of Kubernetes is."""
    group, _, version = thing["apiVersion"].partition("/")
    return SCHEMAS / f"{thing['kind'].lower()}.{group}.{version}.json"


def check_extension(thing: Mapping[str, Any]) -> None:
    """Raise ValidationError where the cluster would refuse an object of an extension."""
    schema = json.loads(extension(thing).read_text())
    jsonschema.Draft202012Validator(schema).validate(thing)


def pods(things: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Go through the pods that objects are, or make, with their names."""
    for thing in things:
        name = f"{thing['kind']}/{thing['metadata']['name']}"
        if thing["kind"] == "Pod":
            yield name, thing["spec"]
        elif thing["kind"] == "StatefulSet":
            yield name, thing["spec"]["template"]["spec"]


def unrestricted(pod: Mapping[str, Any]) -> list[str]:
    """Return what the restricted Pod Security Standard refuses in a pod."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    for volume in pod.get("volumes", []):
        found += [f"volume {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    of_pod = pod.get("securityContext", {})
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        found += _unrestricted(container, of_pod)
    return found


def _unrestricted(container: Mapping[str, Any], of_pod: Mapping[str, Any]) -> list[str]:
    own = container.get("securityContext", {})
    capabilities = own.get("capabilities", {})
    whole = {**of_pod, **own}
    rules = {
        "privileged": not own.get("privileged"),
        "privilege escalation": own.get("allowPrivilegeEscalation") is False,
        "capabilities": "ALL" in capabilities.get("drop", [])
        and set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "root": whole.get("runAsNonRoot") is True and whole.get("runAsUser") != 0,
        "seccomp": whole.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
        "host ports": not any(port.get("hostPort") for port in container.get("ports", [])),
    }
    return [f"{container['name']}: {rule}" for rule, holds in rules.items() if not holds]
