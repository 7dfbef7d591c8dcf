"""What users of the SDK may rely on, and how it reads as text.

Run as a program, it writes tests/repository/public_api.txt anew.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

KEPT = Path(__file__).parents[1] / "repository" / "public_api.txt"

PUBLIC = {
    "bridge.client": ("BridgeClient", "CommandType", "Stats", "Status", "TrainingSession"),
    "bridge.client.compat.tensorboard": ("SummaryWriter",),
    "bridge.client.compat.wandb": ("init", "finish", "login", "AlertLevel"),
    "bridge.client.compat.wandb.media": ("Image", "Histogram", "Table", "Artifact"),
    "bridge.client.compat.wandb.tracked_run": ("Run", "Error"),
    "bridge.client.frames": ("to_pandas",),
    "bridge.client.query": ("QueryError", "NoBridgeError", "ProblemError"),
    "bridge.client.query_logged": (
        "Annotation",
        "BestResults",
        "ComparedConfigs",
        "ComparedCurve",
        "ComparedLine",
        "ComparedPoint",
        "ComparedSession",
        "Comparison",
        "ConfigValues",
        "Curve",
        "CurvePoint",
        "LoggedEvent",
    ),
    "bridge.client.query_types": (
        "SessionSummary",
        "SessionDetails",
        "ClientDescription",
        "EpochAverages",
        "PerformanceReport",
        "ProcessUsage",
        "GpuUsage",
        "LossBin",
        "SessionAttempt",
        "SessionNotice",
        "ListedBatch",
        "ListedImage",
        "SubmittedCommand",
        "CommandOutcome",
    ),
    "bridge.client.testing": ("RecordingBridge", "Answer", "Batch", "Epoch", "Event", "Scalars"),
}
"""What the documentation shows to users, by the module that they import it from."""

PROTOCOLS = {"__init__", "__enter__", "__exit__"}
"""Methods with an underscore that users call all the same."""

HEAD = "# What users of the SDK may rely on; a change here is one that the changelog speaks of.\n"


def rendered() -> str:
    """Return every public name of the modules, with its signature or type."""
    parts = [HEAD]
    for name, symbols in PUBLIC.items():
        module = importlib.import_module(name)
        parts.append(f"\n[{name}]\n")
        parts += [f"{line}\n" for symbol in symbols for line in lines_of(module, symbol)]
    return "".join(parts)


def lines_of(module: ModuleType, symbol: str) -> Iterator[str]:
    """Yield the lines about one name, which may come from another module."""
    home = importlib.import_module(getattr(module, symbol).__module__)
    [node] = [node for node in tree_of(home).body if getattr(node, "name", "") == symbol]
    if isinstance(node, ast.ClassDef):
        yield from class_lines(node)
        yield from inherited_lines(home, symbol)
    else:
        yield signature(node)


def inherited_lines(home: ModuleType, symbol: str) -> Iterator[str]:
    """Yield what a class has from others of the SDK that users do not know by name."""
    public = {name for names in PUBLIC.values() for name in names}
    for base in getattr(home, symbol).__mro__[1:]:
        if base.__module__.startswith("bridge.client.") and base.__name__ not in public:
            tree = tree_of(importlib.import_module(base.__module__))
            [node] = [node for node in tree.body if getattr(node, "name", "") == base.__name__]
            assert isinstance(node, ast.ClassDef)
            yield from member_lines(node)


def class_lines(node: ast.ClassDef) -> Iterator[str]:
    """Yield a class, and what is public in it."""
    decorators = "".join(f"@{ast.unparse(decorator)} " for decorator in node.decorator_list)
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    yield f"{decorators}class {node.name}" + (f"({bases})" if bases else "")
    yield from member_lines(node)


def member_lines(node: ast.ClassDef) -> Iterator[str]:
    """Yield what is public in the body of a class."""
    for member in node.body:
        match member:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                if not name.startswith("_"):
                    yield f"    {ast.unparse(member)}"
            case ast.FunctionDef() | ast.AsyncFunctionDef() if is_public(member):
                yield f"    {signature(member)}"


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return a function's head on one line."""
    decorators = "".join(f"@{ast.unparse(decorator)} " for decorator in node.decorator_list)
    start = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{decorators}{start} {node.name}({ast.unparse(node.args)}){returns}"


def is_public(node: ast.AST) -> bool:
    """Return whether a class or function is for users."""
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not node.name.startswith("_") or node.name in PROTOCOLS


def tree_of(module: ModuleType) -> ast.Module:
    """Return the parsed source of a module."""
    return ast.parse(inspect.getsource(module))


if __name__ == "__main__":
    KEPT.write_text(rendered())
