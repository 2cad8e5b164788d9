"""
The methods that attrs writes for our classes, compiled when the bundle is made, as the modules are.

Where a class is defined, attrs writes the source of its methods and has Python compile it: for our sixty classes that takes
longer than all else that importing our code does. In the bundle, attrs finds that code compiled, under the name that it gives
to the source, and compiles only what it does not find. It is made by importing our modules once, in a Python of the version
that the bundle is for. What is done to attrs leans on one private function, so it is here and nowhere else.
"""

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

__all__ = ["MethodsError", "compile_methods"]

_MODULE: Final = Path("attr", "_make.py")
_CODE: Final = "_methods.bin"

# Stands in attr/_make.py of the bundle, between the function that it takes the place of and the first use of that.
_LOOK_UP: Final = f"""
# Added when the bundle was made; see deploy/attrs_methods.py.
import marshal

_METHODS = marshal.loads(__loader__.get_data(__file__.rpartition("_make.")[0] + "{_CODE}"))


def _compile_and_eval(script, globs, locs=None, filename=""):
    eval(_METHODS.get(filename) or compile(script, filename, "exec"), globs, locs)


"""
_FUNCTION: Final = "\ndef _compile_and_eval(\n"
_NEXT: Final = "\ndef _linecache_and_compile(\n"

# Run once, by the Python that the bundle is for. attrs has classes of its own, so its calls are caught before it is imported.
_RECORD: Final = """
import builtins, marshal, sys
from importlib import import_module

methods = {}
really_compile = compile

def compile_and_keep(source, filename, *how, **more):
    code = really_compile(source, filename, *how, **more)
    if isinstance(filename, str) and filename.startswith("<attrs generated"):
        methods[filename] = code
    return code

builtins.compile = compile_and_keep
for name in sys.argv[1:]:
    import_module(name)
sys.stdout.buffer.write(marshal.dumps(methods))
"""


class MethodsError(Exception):
    """The methods cannot be compiled; the message says why, in Python's words where it was Python that could not."""


def compile_methods(
    folder: Path,
    modules: Iterable[str],
    *,
    interpreter: str,
    elsewhere: Sequence[Path] = (),
) -> None:
    """
    Compile what attrs writes for the classes of *modules*, and have the attrs in *folder* find it.

    Args:
        folder: A bundle, not compiled yet.
        modules: Ours, as in an import.
        interpreter: The Python that the bundle is for.
        elsewhere: Where to find packages that are not in the bundle.

    Raises:
        MethodsError: The modules cannot be imported, or attrs has changed.
    """
    source = folder / _MODULE
    written = source.read_text(encoding="utf-8")
    before, found, after = written.partition(_NEXT)
    if not found or _FUNCTION not in before:
        raise MethodsError(
            "attrs compiles its methods in another place: see deploy/attrs_methods.py."
        )
    path = os.pathsep.join(map(str, (folder, *elsewhere)))
    done = subprocess.run(  # noqa: S603 - the interpreter was asked for by whoever runs us
        [interpreter, "-S", "-B", "-X", "no_debug_ranges", "-c", _RECORD, *sorted(modules)],
        capture_output=True,
        check=False,
        # A hash that is part of the code would differ from one process to the next.
        env={"PATH": os.defpath, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
    )
    if done.returncode != 0:
        raise MethodsError(f"{interpreter} cannot import the bundle: {done.stderr.decode()}")
    source.with_name(_CODE).write_bytes(done.stdout)
    source.write_text(before + _LOOK_UP + found + after, encoding="utf-8")
