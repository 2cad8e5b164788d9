"""How Sphinx makes the site: `nox -s docs` builds it, in build/site."""

import re
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

project = "tap-inventory"
author = "The tap-inventory authors"
project_copyright = author
release = version = installed("tap-inventory")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
nitpicky = True
# Of names that other packages define there is nothing to link to: nothing is fetched from their sites.
nitpick_ignore_regex = [(r"py:.*", r"(?!inventory).*"), (r"py:class", r"inventory.*\.T_co")]
# `Converted[A, B]` in a signature: callers pass an A, the attribute is a B. The class itself is internal.
nitpick_ignore = [("py:class", "inventory.validation.Converted")]

myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ |> "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

smartquotes = False  # Or the options of a command lose a hyphen.
default_role = "code"  # As in Markdown: what stands in one backtick is code.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
napoleon_use_ivar = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "tap-inventory"
html_copy_source = False
html_show_sphinx = False

# What makes a browser load something. A link that a reader follows is none of it.
_LOADED: Final = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc(?:set)?=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|<link\b(?![^>]*\brel=["']?canonical)[^>]*\bhref=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|(?:@import\s+|url\()["']?(?:https?:)?//[^"')\s]*"""
)


def setup(app: Sphinx) -> None:
    """Draw the tree of errors as it is drawn in the code; load nothing from other hosts."""
    app.connect("autodoc-process-docstring", _as_it_is_drawn)
    app.connect("autodoc-process-docstring", _as_a_sentence, priority=400)  # Before napoleon.
    app.connect("build-finished", _loads_nothing_from_elsewhere)


def _as_it_is_drawn(
    _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    if (what, name) == ("module", "inventory.errors"):
        start = lines.index("InventoryError")
        end = lines.index("", start)
        lines[start:end] = ["::", "", *(f"    {line}" for line in lines[start:end])]


def _as_a_sentence(
    _app: Sphinx, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    if what == "property":
        # Napoleon takes what is before a colon in the first line for a type.
        lines.insert(0, "")


def _loads_nothing_from_elsewhere(app: Sphinx, error: Exception | None) -> None:
    site = Path(app.outdir)
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]) if error is None else ():
        if found := _LOADED.search(path.read_text(encoding="utf-8")):
            raise ExtensionError(f"{path.relative_to(site)} loads from another host: {found[0]}")
