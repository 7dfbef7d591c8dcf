"""The import contracts name every library, and no more than is imported."""

import ast
import sys
import tomllib

import pytest
from support.repository import files, name_of
from support.tools import ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
DOORS = [
    (library, contract["allowed_importers"])
    for contract in CONTRACTS
    if contract["type"] == "protected"
    for library in contract["protected_modules"]
]
"""Each library, and the modules that may import it."""

OWN = {"bridge", "bridge.wire"}
RESTRICTED = {"sqlite3"}
"""Libraries of Python itself that come in by one door all the same."""


def imports_of(path):
    """Return the names that a module imports, here or anywhere inside it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


IMPORTS = {
    name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): set(
        imports_of(path)
    )
    for path in files(".py")
    if path.is_relative_to(ROOT / "bridge")
}


def test_every_library_has_a_door():
    """A library that is imported for the first time needs a contract that says by whom."""
    roots = {name.split(".")[0] for names in IMPORTS.values() for name in names}
    libraries = roots - (sys.stdlib_module_names - RESTRICTED) - OWN

    assert {library for library, _ in DOORS} - OWN == libraries


@pytest.mark.parametrize(("library", "importers"), DOORS, ids=[library for library, _ in DOORS])
def test_no_door_is_wider_than_needed(library, importers):
    """Each module that a contract allows imports the library, or one below it does, unless another library needs it."""
    shared = {door: allowed for door, allowed in DOORS if allowed == importers}
    for importer in importers:
        users = {
            module
            for module, names in IMPORTS.items()
            if is_within(module, importer)
            and any(is_within(name, door) for name in names for door in shared)
        }
        assert users, f"{importer} no longer imports {library}"


def test_the_layers_are_exhaustive():
    """A new module has to be put into a layer."""
    [layers] = [contract for contract in CONTRACTS if contract["type"] == "layers"]
    placed = {name.strip() for layer in layers["layers"] for name in layer.split("|")}

    assert layers["exhaustive"]
    assert placed == {module.split(".")[1] for module in IMPORTS if "." in module}


def is_within(name, package):
    """Return whether a module is a package or in it."""
    return f"{name}.".startswith(f"{package}.")
