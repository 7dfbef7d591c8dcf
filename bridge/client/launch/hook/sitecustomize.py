"""Prepares a Python of a program that `trainbridge run` has started, then runs the sitecustomize that it hides."""

import os
import sys

_FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 -- pathlib is slow to import


def _say_once(text: str) -> None:
    """Write a sentence on stderr, if no other process of this run has."""
    run = os.environ.get("TRAINBRIDGE_RUN_DIR", "")
    try:
        os.close(os.open(os.path.join(run, "said-python"), os.O_CREAT | os.O_EXCL, 0o600))  # noqa: PTH118
        sys.stderr.write(f"trainbridge run: {text}\n")
    except (OSError, AttributeError):  # it was said, or there is no stderr
        return


def _prepare() -> None:
    """Watch for the frameworks; a Python that has no trainbridge runs on without.

    What was imported for that is forgotten again: the program may have a module of its own called `bridge`.
    """
    if os.environ.get("TRAINBRIDGE_AUTODETECT") != "1" or not os.environ.get("TRAINBRIDGE_RUN_DIR"):
        return
    before = set(sys.modules)
    try:
        from bridge.client.launch import autodetect  # noqa: PLC0415

        autodetect.watch()
    except ImportError:
        _say_once(
            f"{sys.executable} has no trainbridge, so only the start and the end of this program are reported; install it"
            f" there with: {sys.executable} -m pip install trainbridge"
        )
    except Exception as error:  # noqa: BLE001 -- nothing here may keep a program from starting
        _say_once(f"no framework is watched for: {type(error).__name__}")
    finally:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "bridge":
                del sys.modules[name]


def _run_hidden() -> None:
    """Run the sitecustomize of the system or of the user, which would have been run without us."""
    from importlib.machinery import PathFinder  # noqa: PLC0415
    from importlib.util import module_from_spec  # noqa: PLC0415

    elsewhere = [path for path in sys.path if os.path.abspath(path or ".") != _FOLDER]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    hidden = module_from_spec(spec)
    sys.modules["sitecustomize"] = hidden
    spec.loader.exec_module(hidden)


_prepare()
_run_hidden()
