"""What the Dockerfile says, checked without building it."""

import re

import pytest
from support.repository import files, name_of
from support.tools import ROOT

import bridge
from bridge.addresses import split_address
from bridge.config import load
from bridge.config.settings import Settings, variable_of
from bridge.errors import SettingError

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = (
    re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
)
IGNORED = [
    line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"
]
PAGE = (ROOT / "docs" / "container.md").read_text()

TOO_NEW = (
    r"^# *syntax",
    r"^(COPY|ADD) .*--(link|exclude|parents|keep-git-dir|checksum)",
    r"^RUN .*--(network|security|device)",
    r"^RUN .*--mount=type=ssh",
    r"<<-?['\"]?[A-Z]",
    r"\$\{\w+(#|%|/)",
)
"""What BuildKit understands and buildah 1.28 does not."""


def said(instruction):
    """Return the arguments of every such instruction."""
    return [
        line.partition(" ")[2].strip()
        for line in INSTRUCTIONS
        if line.startswith(f"{instruction} ")
    ]


def test_old_buildah_understands_it():
    """Nothing is used that Debian's buildah 1.28 does not know."""
    for line in (DOCKERFILE.splitlines()[0], *INSTRUCTIONS):
        assert not [pattern for pattern in TOO_NEW if re.search(pattern, line)], line


def test_base_is_pinned_by_digest():
    """Both stages stand on the one base image that an argument names by tag and digest."""
    (base,) = [text for text in said("ARG") if text.startswith("PYTHON_IMAGE=")]

    assert re.fullmatch(
        r"PYTHON_IMAGE=docker\.io/library/python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base
    )
    assert [text.split()[0] for text in said("FROM")] == ["${PYTHON_IMAGE}"] * 2


def test_version_is_the_packages():
    """The label's default is the version of the package; the build compares them once more."""
    assert f"VERSION={bridge.__version__}" in said("ARG")


def test_settings_and_ports_are_those_of_the_bridge():
    """Variables are settings, the ports are the default ones on every interface, and all are exposed."""
    text = " ".join(said("ENV"))
    settings = dict(re.findall(r"(TRAINBRIDGE_\w+)=(\S+)", text))
    ports = []
    for name in ("grpc_address", "http_address"):
        host, port = split_address(settings[variable_of(name)])
        ports.append(port)
        assert host == "0.0.0.0"
        assert port == split_address(Settings.model_fields[name].default)[1]

    assert set(settings) <= {variable_of(name) for name in Settings.model_fields}
    assert said("EXPOSE") == [" ".join(map(str, ports))]


def test_process_is_started_without_a_shell():
    """Entry point and command are lists, so that signals reach the bridge; the user is a number."""
    assert said("ENTRYPOINT") == ['["trainbridge"]']
    assert said("CMD") == ['["serve"]']
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", *said("USER"))
    assert said("STOPSIGNAL") == ["SIGTERM"]
    assert not said("HEALTHCHECK")
    assert not said("VOLUME")


def test_build_sees_what_it_copies_and_nothing_else():
    """.dockerignore leaves everything out but what is named, which is what the Dockerfile copies."""
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}
    copied = {word for text in said("COPY") if "--from" not in text for word in text.split()[:-1]}

    assert IGNORED[0] == "*"
    assert allowed == copied
    tracked = {name_of(path) for path in files()}
    assert all(
        any(name == one or name.startswith(f"{one}/") for name in tracked) for one in allowed
    )


def test_page_tells_what_holds():
    """docs/container.md has the uid, the ports, the folder and every argument; the variables it names are settings."""
    arguments = {text.split("=")[0] for text in said("ARG")}
    named = set(re.findall(r"TRAINBRIDGE_[A-Z0-9_]+", PAGE))
    settings = {variable_of(name) for name in Settings.model_fields}
    secret_files = {f"{name}_FILE" for name in settings}

    assert {argument for argument in arguments if f"`{argument}`" not in PAGE} == set()
    assert {
        word for word in ("65532", "50051", "8080", *said("WORKDIR")[1:]) if word not in PAGE
    } == set()
    assert named <= settings | secret_files
    assert {variable_of(name) for name in ("grpc_address", "http_address", "state")} <= named


def test_image_is_closed_until_somebody_opens_it():
    """The image does not say who may come in: whoever starts it does."""
    assert "ALLOW_ANONYMOUS" not in " ".join(said("ENV"))
    with pytest.raises(SettingError, match="nothing says who may come in"):
        load({}, dict(re.findall(r"(TRAINBRIDGE_\w+)=(\S+)", " ".join(said("ENV")))))
