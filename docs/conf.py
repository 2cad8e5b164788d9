"""Configuration of Sphinx; `nox -s docs` builds the site in build/site."""

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
# Names of other packages have no links, because no inventory of another site is fetched.
nitpick_ignore_regex = [(r"py:.*", r"(?!inventory).*"), (r"py:class", r"inventory.*\.T_co")]
# `Converted[A, B]` in a signature: callers pass an A, the attribute is a B. The class itself is internal.
nitpick_ignore = [("py:class", "inventory.validation.Converted")]

myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ |> "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

smartquotes = False  # Otherwise the two hyphens of an option become a dash.
default_role = "code"  # As in Markdown: single backticks mean code.
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

# Elements and styles that load something from another host. Links to follow are allowed.
_EXTERNAL: Final = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc(?:set)?=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|<link\b(?![^>]*\brel=["']?canonical)[^>]*\bhref=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|(?:@import\s+|url\()["']?(?:https?:)?//[^"')\s]*"""
)


def setup(app: Sphinx) -> None:
    """Connect the hooks below to events of the build."""
    app.connect("autodoc-process-docstring", _keep_tree_of_errors)
    # The priority puts it before napoleon.
    app.connect("autodoc-process-docstring", _keep_first_line_of_property, priority=400)
    app.connect("build-finished", _reject_external_resources)


def _keep_tree_of_errors(
    _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    if (what, name) == ("module", "inventory.errors"):
        start = lines.index("InventoryError")
        end = lines.index("", start)
        lines[start:end] = ["::", "", *(f"    {line}" for line in lines[start:end])]


def _keep_first_line_of_property(
    _app: Sphinx, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    if what == "property":
        # Napoleon reads text before a colon in the first line as a type.
        lines.insert(0, "")


def _reject_external_resources(app: Sphinx, error: Exception | None) -> None:
    site = Path(app.outdir)
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]) if error is None else ():
        if found := _EXTERNAL.search(path.read_text(encoding="utf-8")):
            raise ExtensionError(f"{path.relative_to(site)} loads from another host: {found[0]}")
