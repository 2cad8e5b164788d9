"""
The modules that one of our modules can import, found in the source without running it.

An import inside a function counts only if code that counts mentions the function's name: `bootstrap` has a function for each
storage, and a Lambda function uses one of them. Because a mention is enough, the result may contain too much, but never too
little, as long as no code builds a function's name at run time.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self, TypeGuard

from attrs import define, field, frozen

__all__ = ["Reach", "reach_of"]


@frozen(kw_only=True)
class Reach:
    """
    The modules that a module can import.

    Attributes:
        modules: Our modules and packages, as in ``{"inventory.items": Path(".../inventory/items.py")}``.
        others: The top-level names of all other imports, as in ``{"attrs", "json"}``.
    """

    modules: dict[str, Path]
    others: frozenset[str]


def reach_of(module: str, *, source: Path) -> Reach:
    """
    Return the modules that *module* can import.

    Args:
        module: The name in an import statement.
        source: The folder of our packages.
    """
    search = _Search(source)
    search.follow(module)
    while mentioned := [part for part in search.unused if part.name in search.names]:
        search.unused = [part for part in search.unused if part not in mentioned]
        for part in mentioned:
            search.enter(part)
    return Reach(modules=search.modules, others=frozenset(search.others))


@frozen(kw_only=True, eq=False)
class _Part:
    """Code that runs together: a top-level function, or, without a name, the rest of a module."""

    name: str | None
    nodes: list[ast.AST]

    @classmethod
    def of(cls, nodes: Iterable[ast.AST], name: str | None = None) -> Self:
        return cls(name=name, nodes=[child for node in nodes for child in _running(node)])


@define
class _Search:
    source: Path
    modules: dict[str, Path] = field(factory=dict)
    unused: list[_Part] = field(factory=list)
    others: set[str] = field(factory=set)
    names: set[str] = field(factory=set)

    def follow(self, module: str) -> None:
        if module in self.modules:
            return
        path = self._path(module)
        package, _, _ = module.rpartition(".")
        if path is None:
            self.others.add(module.partition(".")[0])
            return
        if package:
            self.follow(package)
        self.modules[module] = path
        top_level, *functions = _parts(ast.parse(path.read_text(encoding="utf-8")))
        self.unused += functions
        self.enter(top_level)

    def enter(self, part: _Part) -> None:
        for node in part.nodes:
            match node:
                case ast.Import(names=imported):
                    for alias in imported:
                        self.follow(alias.name)
                case ast.ImportFrom(module=str(module), names=imported):
                    self.follow(module)
                    self.names |= {alias.name for alias in imported}
                    for alias in imported:
                        if self._path(inner := f"{module}.{alias.name}"):
                            self.follow(inner)
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    self.names.add(name)

    def _path(self, module: str) -> Path | None:
        stem = self.source.joinpath(*module.split("."))
        places = (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
        return next(filter(Path.is_file, places), None)


def _parts(module: ast.Module) -> list[_Part]:
    """Return the code of *module*: first the part that runs on import, then each function."""
    functions = [node for node in module.body if _is_plain_function(node)]
    others = [node for node in module.body if not _is_plain_function(node)]
    # Defaults and annotations are evaluated on import, bodies in a call.
    signatures = [
        part
        for function in functions
        for part in (function.args, function.returns)
        if part is not None
    ]
    return [
        _Part.of([*others, *signatures]),
        *(_Part.of(function.body, function.name) for function in functions),
    ]


def _is_plain_function(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    """Return whether *node* is a function that only runs when code mentions its name."""
    return (
        isinstance(node, ast.FunctionDef)
        and not node.decorator_list
        and not node.name.startswith("__")
    )


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield *node* and its descendants, without code for type checkers only."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _running(child)
