"""What a forge reads calls what a developer calls."""

import re
import subprocess
import sys

import pytest
import yaml
from support.repository import files, name_of
from support.tools import ROOT

FORGE = [path for path in files(".yaml", ".yml") if path.is_relative_to(ROOT / ".github")]
FORMS = [path for path in FORGE if path.parent.name == "ISSUE_TEMPLATE" and path.stem != "config"]
MAKEFILE = (ROOT / "Makefile").read_text()
CHECKS = re.search(r"^check: (.+?) ##", MAKEFILE, re.MULTILINE)[1].split()


def test_the_workflow_decides_nothing():
    """A change passes in the forge exactly when .ci/run passes on somebody's machine."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    [job] = workflow["jobs"].values()

    assert job["steps"][-1] == {"run": ".ci/run"}
    assert workflow["permissions"] == {"contents": "read"}


def test_all_tests_run_once():
    """What `make test` leaves out in .ci/run is what `make check` has run there before, and that runs all of its folder."""
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    checked = re.search(r"^docs-check: .*\n.* -m pytest --quiet (.+)$", MAKEFILE, re.MULTILINE)[1]
    [tested] = [line for line in script if line.startswith("make test ")]

    assert "docs-check" in CHECKS
    assert re.findall(r"--\w[^ \"]*|-k\b|-m\b", tested) == [f"--ignore={checked}"]
    assert script.index("make check") < script.index(tested)


def test_hooks_are_the_checks():
    """A commit is checked by the targets of `make check`, all of them, and by nothing that is fetched."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    [local] = config["repos"]

    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == [f"make {check}" for check in CHECKS]


def test_hooks_are_understood():
    """pre-commit accepts its file."""
    command = [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", FORMS, ids=name_of)
def test_issue_forms_are_complete(path):
    """Each form has a name, a description and questions with distinct ids."""
    form = yaml.safe_load(path.read_text())
    questions = [part for part in form["body"] if part["type"] != "markdown"]

    assert form["name"]
    assert form["description"]
    assert all(question["attributes"]["label"] for question in questions)
    assert len({question["id"] for question in questions}) == len(questions)


def test_vulnerabilities_have_a_private_way():
    """SECURITY.md says how to report, which versions get fixes, and what is in scope."""
    text = (ROOT / "SECURITY.md").read_text()

    assert "Report a vulnerability" in text
    assert {"## Reporting a vulnerability", "## Versions", "## Scope"} <= set(text.splitlines())


def test_a_release_is_one_target():
    """`make release` runs the script that builds and checks what is published."""
    recipe = re.search(r"^release: .*\n\t(.+)$", MAKEFILE, re.MULTILINE)[1]

    assert recipe == "@.ci/release $(venv)/python .venv-audit/bin"
