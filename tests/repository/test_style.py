"""What the house style asks of the code and no linter checks."""

import ast
import re

import pytest
from support.repository import files, name_of
from support.tools import ROOT

GENERATED = ("metrics_pb2.py", "metrics_pb2_grpc.py")
MODULES = [path for path in files(".py") if path.name not in GENERATED]

EMPTY_NAMES = re.compile(
    r"manager|handler|helper|util(s|ities)?|common|core|processor|engine", re.IGNORECASE
)
LINES_LIMIT = 350

WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_opens_with_one_sentence(path):
    """The first paragraph of a module is one sentence on one line."""
    opening = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]

    assert opening, "the module has no docstring"
    assert "\n" not in opening
    assert opening.endswith((".", "?", "!"))
    assert not re.search(r"[.?!] [A-Z]", opening), "more than one sentence"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_what_a_thing_is(path):
    """No module and no class is called after what it does not say: manager, helper, utils."""
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if type(node) is ast.ClassDef]
    names = [path.stem, *(node.name for node in classes if not node.bases)]

    for name in names:
        assert not any(EMPTY_NAMES.fullmatch(word) for word in WORDS.findall(name)), name


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name.startswith("test_")], ids=name_of
)
def test_every_test_states_its_promise(path):
    """Each test function has a docstring that is a sentence."""
    tree = ast.parse(path.read_text())
    tests = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]

    assert tests, "no tests in a test module"
    for test in tests:
        assert re.search(r"[.?!]\W*$", ast.get_docstring(test) or ""), test.name


def test_no_file_is_long():
    """No module of bridge/ is over 350 lines."""
    modules = [path for path in MODULES if path.is_relative_to(ROOT / "bridge")]
    long = {name_of(path) for path in modules if len(path.read_text().splitlines()) > LINES_LIMIT}

    assert not long


def test_layout_by_hand_has_a_reason():
    """Code that the formatter leaves alone has the reason in a comment beside the one that says so."""
    bare = re.compile(r"# fmt: (?:skip|off)$", re.MULTILINE)
    found = {name_of(path) for path in MODULES if bare.search(path.read_text())}

    assert not found
