"""A real S3 server for tests: OpenStack Swift with its s3api, on one machine and for one run."""

import getpass
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.tools import tool
from support.waiting import until_true

ACCOUNT, USER, SECRET = "tests", "bridge", "not-a-secret"
DEVICE = "disk"
STORES = ("account", "container", "object")

COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}
mount_check = false
log_address = {folder}/no-syslog
log_level = ERROR
"""
STORE = """
[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
allow_versions = true
"""
PROXY = """
[pipeline:main]
pipeline = catch_errors proxy-logging cache s3api tempauth copy slo dlo proxy-logging proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{name} = {secret} .admin

[filter:catch_errors]
use = egg:swift#catch_errors
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""
HASHES = """
[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = only
default = yes
"""
MAKE_RINGS = """
import sys
from swift.common.ring import RingBuilder

folder, *rings = sys.argv[1:]
for ring in rings:
    kind, port = ring.split("=")
    builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
    address = {"ip": "127.0.0.1", "port": int(port), "device": "DEVICE"}
    builder.add_dev({"region": 1, "zone": 1, "weight": 1, **address})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{kind}.ring.gz")
""".replace("DEVICE", DEVICE)

SERVE = """
import sys
from swift.common import utils

kind, folder, settings = sys.argv[1:]
utils.set_swift_dir(folder)  # its programs insist on /etc/swift

from swift.common.wsgi import run_wsgi
from swift.obj.server import global_conf_callback

options = {"global_conf_callback": global_conf_callback} if kind == "object" else {}
sys.exit(run_wsgi(settings, f"{kind}-server", **options))
"""


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where an S3 server listens, and who may use it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"


@contextmanager
def swift(folder: Path):
    """Run Swift's four servers in `folder`, and yield the S3 one."""
    ports = dict(zip((*STORES, "proxy"), _free_ports(4), strict=True))
    (folder / DEVICE).mkdir(parents=True)
    (folder / "swift.conf").write_text(HASHES)
    (folder / "tmp").mkdir()
    rings = [f"{kind}={ports[kind]}" for kind in STORES]
    subprocess.run([tool("swift-python"), "-c", MAKE_RINGS, folder, *rings], check=True)
    with ExitStack() as stack:
        servers = {
            kind: stack.enter_context(_server(folder, kind, port)) for kind, port in ports.items()
        }
        for kind, server in servers.items():
            until_true(lambda server=server, port=ports[kind]: _answers(server, port), seconds=60)
        yield S3Server(f"http://127.0.0.1:{ports['proxy']}", f"{ACCOUNT}:{USER}", SECRET)


def _free_ports(count):
    """Swift's rings name ports, so port 0 will not do."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _server(folder, kind, port):
    text = COMMON.format(port=port, user=getpass.getuser(), folder=folder)
    text += (PROXY if kind == "proxy" else STORE).format(
        kind=kind, account=ACCOUNT, name=USER, secret=SECRET
    )
    settings = folder / f"{kind}-server.conf"
    settings.write_text(text)
    with (folder / f"{kind}.log").open("wb") as log:
        command = [tool("swift-python"), "-c", SERVE, kind, folder, settings]
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def _answers(process, port):
    if process.poll() is not None:
        raise RuntimeError(f"Swift's {process.args[3]} server ended with {process.returncode}")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
