"""Digests of the code behind a script: what makes a target stale when it changes.

They cover the syntax trees of the script and of every local module that it imports, transitively,
docstrings and comments left out (`ast.unparse`, since `ast.dump` differs between Python versions).
Modules that are found by name at run time (adapters, families) are named by their package:
importing a package that lies here covers all files of it. Standard library only.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path


def code_digests(script: Path, root: Path) -> dict[str, str]:
    """Digest (12 hex characters) of `script` and of each module below `root` that it imports.

    One per file, so that a difference can be named. Keys are the script's name and paths relative
    to `root`. Raises SyntaxError or OSError for a file that cannot be read: such a workflow cannot
    run.
    """
    result = {}
    for path in sorted({script, *reachable(script, root)}):
        name = path.name if path == script else path.relative_to(root).as_posix()
        result[name] = _digest(path)
    return result


def file_digests(folder: Path) -> dict[str, str]:
    """Digest (12 hex characters) of each file below `folder`, by path from beside the folder.

    For what a script reads beside its code: fragments of a page, a style sheet. Hidden files do
    not count.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        path.relative_to(folder.parent).as_posix(): _short_digest(path.read_bytes())
        for path in files
        if not path.name.startswith(".")
    }


def reachable(script: Path, root: Path) -> set[Path]:
    """Local modules that `script` imports, transitively."""
    found: set[Path] = set()
    pending = [script]
    while pending:
        for path in _imports(pending.pop(), root):
            if path not in found:
                found.add(path)
                pending.append(path)
    return found


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.cache
def _digest(path: Path) -> str:
    return _short_digest(_plain(path).encode())


def _short_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _plain(path: Path) -> str:
    """Source without docstrings, comments and layout."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@functools.cache
def _imports(path: Path, root: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    for node in ast.walk(_tree(path)):
        for name in _imported_names(node, path, root):
            found.extend(_files(name, root))
    return tuple(found)


def _imported_names(node: ast.AST, path: Path, root: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = path.relative_to(root).parent.parts
            kept = package[: len(package) - node.level + 1]
            base = ".".join([*kept, base] if base else kept)
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _files(name: str, root: Path) -> Iterator[Path]:
    """Files that importing `name` runs: the packages above it, and the module itself."""
    place = root
    parts = name.split(".")
    for depth, part in enumerate(parts):
        place = place / part
        if place.with_suffix(".py").is_file():
            yield place.with_suffix(".py")
            return
        if not (place / "__init__.py").is_file():
            return
        if depth == len(parts) - 1 and depth > 0:
            # a package named outright may look up its members by name: all of it counts
            yield from sorted(place.rglob("*.py"))
        yield place / "__init__.py"
