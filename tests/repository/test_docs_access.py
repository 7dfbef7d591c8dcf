"""docs/access.md sets a bridge up with files that it takes, and commands that do what it says."""

import io
import shlex

import pytest
import yaml
from support.access import Granted, asking_for
from support.markdown import blocks
from support.pages import deps_in
from support.repository import ROOT
from support.served_app import served_app

from bridge import cli
from bridge.access import Role
from bridge.access.jwks import ALGORITHMS
from bridge.access.rules import read_rules
from bridge.access.tokens import read_tokens
from bridge.config import load

PAGE = (ROOT / "docs" / "access.md").read_text()
YAML = blocks(PAGE, "yaml")
CONSOLE = blocks(PAGE, "console")


def of(*keys):
    """Return the examples that have one of these keys."""
    return [text for text in YAML if yaml.safe_load(text).keys() & set(keys)]


@pytest.mark.parametrize("example", of("tokens"))
def test_tokens_are_taken(tmp_path, example):
    """A tokens file looks as the page shows it."""
    path = tmp_path / "tokens.yaml"
    path.write_text(example)
    assert read_tokens(path)


@pytest.mark.parametrize("example", of("claims", "certificates"))
def test_rules_are_taken(tmp_path, example):
    """So does a file of rules."""
    path = tmp_path / "rules.yaml"
    path.write_text(example)
    rules = read_rules(path)
    assert rules.claims or rules.certificates


@pytest.mark.parametrize("example", of("tokens_file", "oidc_issuer", "http_tls_client_ca_file"))
def test_settings_are_taken(tmp_path, example):
    """With files in place of those that the page names, a bridge would start."""
    settings = yaml.safe_load(example)
    for name in settings:
        if name.endswith("_file"):
            settings[name] = str(tmp_path / name)
            (tmp_path / name).write_text("")
    path = tmp_path / "trainbridge.yaml"
    path.write_text(yaml.safe_dump(settings))
    loaded = load({"config": str(path)}, {})
    assert all(loaded.origins[name].kind == "config" for name in settings)


def test_no_example_is_left_out():
    """Each is of one of these kinds."""
    keys = ("tokens", "claims", "certificates")
    assert set(YAML) == {
        *of(*keys),
        *of("tokens_file", "oidc_issuer", "http_tls_client_ca_file"),
    }


def test_commands_do_what_the_page_says(tmp_path, monkeypatch, capsys):
    """In the sequence of the page, as a shell would, and then against a bridge."""
    monkeypatch.chdir(tmp_path)
    for line in CONSOLE[0].splitlines():
        assert typed(line, monkeypatch, capsys) == 0, line
    assert [entry.identity.name for entry in read_tokens(tmp_path / "tokens.yaml")] == [
        "trainers",
        "ada",
        "prometheus",
    ]
    viewer = Granted(("control",))
    (tmp_path / "ada.token").write_text(viewer.token)
    deps, shelf = deps_in(tmp_path, authentication=asking_for(tmp_path / "t.yaml", (viewer,)))
    with served_app(deps) as url:
        line = CONSOLE[1].strip().replace("http://127.0.0.1:8080", url)
        assert typed(line, monkeypatch, capsys) == 0
    shelf.database.close()


def typed(line, monkeypatch, capsys):
    """Run a line of a console with its redirections, and return the status."""
    words = shlex.split(line)
    assert words.pop(0) == "trainbridge"
    target = words[words.index(">") + 1] if ">" in words else None
    if "<" in words:
        with open(words[words.index("<") + 1], encoding="utf-8") as file:  # noqa: PTH123 -- as a shell does
            monkeypatch.setattr("sys.stdin", io.StringIO(file.read()))
    ends = [words.index(sign) for sign in "<>" if sign in words]
    status = cli.main(words[: min(ends, default=len(words))])
    if target is not None:
        with open(target, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(capsys.readouterr().out)
    return status


def test_roles_and_algorithms_are_those_of_the_code():
    """The tables and sentences name all of them."""
    for role in Role:
        assert f"| `{role}` |" in PAGE
    assert all(name in PAGE for name in ALGORITHMS)
