"""A Kubernetes API server that only shows objects: what Helm's `lookup` finds in a cluster."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml
from helm_python import Config

KINDS = {
    "v1": {"Service": "services", "PersistentVolumeClaim": "persistentvolumeclaims"},
    "apps/v1": {"StatefulSet": "statefulsets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
}
"""What the server has, by group and version; anything else is a kind that the cluster does not know."""


@contextmanager
def cluster(
    objects: list[dict[str, Any]],
    *,
    namespace: str = "training",
    forbidden: frozenset[str] = frozenset(),
) -> Iterator[Config]:
    """Serve objects on loopback, and yield Helm's way to them.

    Resources that are `forbidden` are refused, as to an account that may not read them.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, _ = self.path.partition("?")
            status, body = _answer(path, objects, forbidden)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        with Config(kubeconfig_content=_kubeconfig(server.server_port), namespace=namespace) as way:
            yield way
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _kubeconfig(port: int) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
    )


def _answer(
    path: str, objects: list[dict[str, Any]], forbidden: frozenset[str]
) -> tuple[int, dict[str, Any]]:
    """Return status and body of a GET: a version, the resources of a group, a list, or one object."""
    if path == "/version":
        return HTTPStatus.OK, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    for version, kinds in KINDS.items():
        root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        if path == root:
            return HTTPStatus.OK, _resources(version, kinds)
        for kind, plural in kinds.items():
            found = _below(path.removeprefix(f"{root}/namespaces/"), plural)
            if not path.startswith(f"{root}/namespaces/") or found is None:
                continue
            if plural in forbidden:
                return HTTPStatus.FORBIDDEN, _status(HTTPStatus.FORBIDDEN, "Forbidden")
            return _objects(version, kind, found, objects)
    return HTTPStatus.NOT_FOUND, _status(HTTPStatus.NOT_FOUND, "NotFound")


def _below(rest: str, plural: str) -> tuple[str, str] | None:
    """Return namespace and name that a path is about, the name being empty for a list."""
    match rest.split("/"):
        case [namespace, found] if found == plural:
            return namespace, ""
        case [namespace, found, name] if found == plural:
            return namespace, name
    return None


def _objects(
    version: str, kind: str, place: tuple[str, str], objects: list[dict[str, Any]]
) -> tuple[int, dict[str, Any]]:
    namespace, name = place
    there = [
        thing
        for thing in objects
        if (thing["apiVersion"], thing["kind"]) == (version, kind)
        and thing["metadata"]["namespace"] == namespace
    ]
    if not name:
        return HTTPStatus.OK, {"apiVersion": version, "kind": f"{kind}List", "items": there}
    for thing in there:
        if thing["metadata"]["name"] == name:
            return HTTPStatus.OK, thing
    return HTTPStatus.NOT_FOUND, _status(HTTPStatus.NOT_FOUND, "NotFound")


def _resources(version: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": [
            {
                "name": plural,
                "singularName": "",
                "namespaced": True,
                "kind": kind,
                "verbs": ["get", "list"],
            }
            for kind, plural in kinds.items()
        ],
    }


def _status(code: int, reason: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "reason": reason,
        "code": code,
        "message": reason,
    }
