"""The documents are true of the repository they stand in."""

import re

import pytest
import yaml
from support.markdown import anchors, blocks, links
from support.repository import files, name_of
from support.tools import ROOT

import bridge
from bridge.cli import main
from bridge.config.settings import Settings, flag_of

PAGES = files(".md")
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
FLAGS = {flag_of(name) for name in Settings.model_fields}
COMMANDS_FLAGS = {
    *("--address", "--connect", "--diverge", "--exit", "--hang", "--help", "--spike-every"),
}
"""Flags of commands that are no settings of a bridge."""


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_resolve(path):
    """Every link to another file, and to a heading in it, leads somewhere."""
    for link in links(path.read_text()):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        page = path.parent / target if target else path

        assert page.exists(), link
        if anchor:
            assert anchor in anchors(page.read_text()), link


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_make_targets_exist(path):
    """Every `make target` that is mentioned exists."""
    text = path.read_text()
    mentioned = re.findall(r"^make ([a-z-]+)", "\n".join(blocks(text, "console")), re.MULTILINE)
    mentioned += re.findall(r"`make ([a-z-]+)[^`]*`", text)

    assert set(mentioned) <= TARGETS


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_flags_exist(path):
    """Every flag of `trainbridge` in an example is a flag it has."""
    lines = re.findall(r"trainbridge (?:serve|demo|check-config)(.*)", path.read_text())
    mentioned = {flag for line in lines for flag in re.findall(r"(?<!\S)--[a-z0-9-]+", line)}

    assert mentioned <= FLAGS | COMMANDS_FLAGS


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_examples_can_be_read(path):
    """Python examples compile, YAML examples parse."""
    text = path.read_text()

    for example in blocks(text, "python"):
        compile(example, name_of(path), "exec")
    for example in blocks(text, "yaml"):
        assert yaml.safe_load(example)


@pytest.mark.parametrize("command", ["serve", "demo", "check-config"])
def test_commands_exist(command, capsys):
    """The commands in the README explain themselves."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert f"trainbridge {command}" in capsys.readouterr().out


def test_changelog_has_room_for_the_next_release():
    """The changelog begins with what is not released yet."""
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == "Unreleased"
    assert re.fullmatch(r"\d+\.\d+\.\d+", bridge.__version__)


def test_every_target_is_phony_and_explained():
    """Each target of the Makefile that makes no file is declared so, and `make` lists the main ones."""
    phony = re.search(r"^\.PHONY: ((?:.|\\\n)*)", MAKEFILE, re.MULTILINE)[1]

    assert set(phony.replace("\\", "").split()) >= TARGETS
    assert {"demo", "test", "check", "bench", "proto", "help"} <= TARGETS


def test_no_setup_ends_in_a_traceback():
    """Ctrl-C during `make` is ordinary: each virtual environment is made in the way that ends quietly."""
    recipes = MAKEFILE.partition("# --- set-up")[2]

    assert "-m venv" not in recipes
    assert recipes.count('-c "$$venv_of_ours"') >= 4


def test_every_decision_is_listed():
    """The list of decisions has every page."""
    listed = set(links((ROOT / "docs" / "decisions" / "README.md").read_text()))
    pages = {path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")}

    assert listed == pages


def test_every_page_is_listed():
    """The index leads to every page of the documentation."""
    listed = set(links((ROOT / "docs" / "index.md").read_text()))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}

    assert pages <= listed
