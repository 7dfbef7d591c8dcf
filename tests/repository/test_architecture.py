"""docs/architecture.md names what there is, where it is."""

import ast
import re
from functools import cache

import pytest
from support.markdown import prose, tables_under
from support.repository import files, name_of
from support.tools import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
BRIDGE = ROOT / "bridge"

WORDS = {"/metrics", "SIGTERM", "make check", "spool_dir", "trainbridge", "trainbridge command"}
"""What stands between backticks and is not a name in the code."""

TOKENS = sorted(set(re.findall(r"`([^`]+)`", prose(TEXT))) - WORDS)
PATHS = [token for token in TOKENS if "/" in token or ("." in token and token.islower())]
TO_CHANGE = sorted(
    set(re.findall(r"`((?:bridge|tests|docs|deploy|grafana|proto)/[^`\s]*)`", CONTRIBUTING))
)
NAMES = [token for token in TOKENS if token not in PATHS]

PLACED = sorted(set(re.findall(r"`([\w.]+)(?:\(\))?`\s+\(`([\w/]+\.py)`\)", prose(TEXT))))
"""Names that the page gives with their file."""

ROWS = [
    (name, path)
    for _, path, names in tables_under(TEXT)["Where to look"]
    for name in re.findall(r"`([^`]+)`", names)
]


@cache
def definitions(path):
    """Return the classes, functions and methods of a module, methods as Class.method, with names of tables."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.ClassDef(name=name):
                found |= {name} | {f"{name}.{member}" for member in members(node)}
    return found


def members(node):
    """Yield what a class defines."""
    for member in node.body:
        match member:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


@cache
def everything():
    """Return every definition of the package, and methods also by their own name."""
    found = set().union(*(definitions(path) for path in files(".py") if BRIDGE in path.parents))
    return found | {name.rpartition(".")[2] for name in found}


@pytest.mark.parametrize("path", [*PATHS, *TO_CHANGE])
def test_every_file_exists(path):
    """A path there or in CONTRIBUTING leads somewhere, from bridge/ or from the root."""
    assert (BRIDGE / path).exists() or (ROOT / path).exists()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_exists(name):
    """A name on the page is a class, function or method of the package."""
    assert name.removesuffix("()") in everything()


@pytest.mark.parametrize(("name", "path"), [*PLACED, *ROWS])
def test_every_name_is_where_the_page_says(name, path):
    """A name that is given with a file is defined in that file."""
    assert name.removesuffix("()") in definitions(BRIDGE / path.strip("`"))


def test_every_room_is_on_the_page():
    """Each module and package right below bridge/ is named."""
    rooms = {name_of(path).split("/")[1] for path in files(".py") if BRIDGE in path.parents} - {
        "__init__.py",
        "__main__.py",
    }

    assert {room for room in rooms if f"`{room}" not in TEXT} == set()
