"""docs/performance.md agrees with the benchmarks."""

import ast

import pytest
from support.tools import ROOT

PAGE = (ROOT / "docs" / "performance.md").read_text()
MODULES = sorted((ROOT / "benchmarks").glob("bench_*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_every_benchmark_is_described(module):
    """The page describes every benchmark under the name that `--only` takes."""
    assert f"| `{module.stem.removeprefix('bench_')}` |" in PAGE


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_every_benchmark_has_rows(module):
    """What the runner calls is in every module, with its one argument."""
    functions = [
        node for node in ast.parse(module.read_text()).body if isinstance(node, ast.FunctionDef)
    ]
    (rows,) = [function for function in functions if function.name == "rows"]

    assert [argument.arg for argument in rows.args.args] == ["quick"]
