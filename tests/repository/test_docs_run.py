"""docs/frameworks/run.md describes `trainbridge run` as it is."""

import argparse
import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml
from support.markdown import blocks
from support.tools import ROOT

from bridge.cli import run
from bridge.client.endings import SIGNALLED
from bridge.client.launch.aftermath import HURRIED_SECONDS
from bridge.client.launch.autodetect import HOOKS
from bridge.client.launch.program import FORWARDED

PAGE = (ROOT / "docs" / "frameworks" / "run.md").read_text()


def words_after_run(words):
    """Return what a command line of the page means."""
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    return parser.parse_args(words[words.index("run") + 1 :])


def test_every_flag_is_there():
    """In the table, and no other."""
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}

    table = re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE)
    assert set(table) == flags - {"-h", "--help"}


def test_signals_and_frameworks_are_those_of_the_code():
    """Those that are passed on (but for the size of a window), and those that are watched."""
    passed = re.search(r"^(SIGINT|Standard input.*?)that are sent", PAGE, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"SIG[A-Z0-9]+", passed[0]))

    assert named == {each.name for each in FORWARDED} - {"SIGWINCH"}
    frameworks = {hook.integration.rpartition(".")[2] for hook in HOOKS}
    assert frameworks == {"lightning", "transformers", "accelerate", "keras"}
    assert all(name in PAGE.lower() for name in frameworks)


def test_numbers_are_those_of_the_code():
    """Seconds and exit statuses."""
    assert f"{HURRIED_SECONDS:g} at most where a signal" in PAGE
    assert f"| {SIGNALLED + 9} |" in PAGE
    assert all(f"| {status} |" in PAGE for status in (run.NOT_FOUND, run.NOT_EXECUTABLE))


def test_the_job_is_accepted_by_kubernetes_and_by_the_command():
    """Its manifest is valid, and its words mean what is said of them."""
    (text,) = blocks(PAGE, "yaml")
    job = yaml.safe_load(text)

    assert kubernetes_validate.validate(job, "1.34", strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    arguments = words_after_run(container["command"])
    assert arguments.spool_dir == container["volumeMounts"][0]["mountPath"]
    assert arguments.command[-2:] == ["python", "train.py"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_batch_script_is_one():
    """A shell can read it, and the command its words; the signal leaves the time that delivering takes."""
    (script,) = blocks(PAGE, "bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)

    (line,) = [line for line in script.splitlines() if line.startswith("srun ")]
    arguments = words_after_run(line.split())
    assert arguments.command[-2:] == ["python", "train.py"]
    assert int(re.search(r"--signal=TERM@(\d+)", script)[1]) > HURRIED_SECONDS
