"""Tests by their names, as in ``tests/test_suite.py::test_local_time_is_not_utc``."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


def exists(name):
    """Return whether a file, or a class or test in it, exists."""
    path, *parts = name.split("::")
    if not (ROOT / path).is_file():
        return False
    names = names_in(path)
    for part in parts:
        if part not in names:
            return False
        names = names[part]
    return True


@cache
def names_in(path):
    """Return the functions and classes of a file, with those inside them."""
    return _names(ast.parse((ROOT / path).read_text()))


def _names(node):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {child.name: _names(child) for child in node.body if isinstance(child, kinds)}
