"""
What a module of ours can come to run, read from its source: imports followed, nothing executed.

An import within a function counts only when code that counts mentions the function's name: `bootstrap` has a face for each
storage, and a Lambda function asks for one of them. A mention is enough, so what is found may be too much, never too little,
as long as nobody spells a function's name at run time.
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
    What was found.

    Attributes:
        modules: Ours, and the packages they are in: ``{"inventory.items": Path(".../inventory/items.py")}``.
        others: The first part of every import that is not ours: ``{"attrs", "json"}``.
    """

    modules: dict[str, Path]
    others: frozenset[str]


def reach_of(module: str, *, source: Path) -> Reach:
    """
    Return what *module* reaches.

    Args:
        module: As in an import.
        source: The folder that our packages are in.
    """
    walk = _Walk(source)
    walk.follow(module)
    while called := [it for it in walk.dormant if it.name in walk.names]:
        walk.dormant = [it for it in walk.dormant if it not in called]
        for part in called:
            walk.enter(part)
    return Reach(modules=walk.modules, others=frozenset(walk.others))


@frozen(kw_only=True, eq=False)
class _Part:
    """Code that runs as a whole: one function of a module's own level, or, without a name, all that is beside those."""

    name: str | None
    nodes: list[ast.AST]

    @classmethod
    def of(cls, nodes: Iterable[ast.AST], name: str | None = None) -> Self:
        return cls(name=name, nodes=[it for node in nodes for it in _running(node)])


@define
class _Walk:
    source: Path
    modules: dict[str, Path] = field(factory=dict)
    dormant: list[_Part] = field(factory=list)
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
        whole, *functions = _parts(ast.parse(path.read_text(encoding="utf-8")))
        self.dormant += functions
        self.enter(whole)

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
    """Return the code of *module*: first what runs on import, then each function that runs when it is called."""
    functions = [node for node in module.body if _is_plain_function(node)]
    beside = [node for node in module.body if not _is_plain_function(node)]
    # Defaults and annotations of a function belong to the import, its body to the call.
    signatures = [part for it in functions for part in (it.args, it.returns) if part is not None]
    return [
        _Part.of([*beside, *signatures]),
        *(_Part.of(function.body, function.name) for function in functions),
    ]


def _is_plain_function(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    """Tell whether nothing but its name leads to a function: no decorator has it, and Python does not call it unasked."""
    return (
        isinstance(node, ast.FunctionDef)
        and not node.decorator_list
        and not node.name.startswith("__")
    )


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield *node* and all below it but what only a type checker sees."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        below: Iterable[ast.AST] = node.orelse
    else:
        below = ast.iter_child_nodes(node)
    for child in below:
        yield from _running(child)
