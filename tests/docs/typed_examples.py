"""
Write the code of all pages into a folder for type checkers.

``python tests/docs/typed_examples.py FOLDER``

A page becomes two modules: one of its ``pycon`` blocks, and one of its ``python`` blocks. The second has the file name that the
page states.
"""

import doctest
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TYPICAL_USE = Path(__file__).with_name("typical_use.py")
BLOCK = re.compile(r"^```(?P<language>python|pycon)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def modules(page):
    """Return the source of each module of a page, by module name."""
    document = page.read_text()
    name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")).lower())
    saved_as = re.search(r"save it as `(\w+)\.py`", document)
    parts = {"python": [], "pycon": []}
    for block in BLOCK.finditer(document):
        parts[block["language"]].append(block["text"])
    sources = {
        saved_as[1] if saved_as else f"{name}_python": "\n".join(parts["python"]),
        f"{name}_session": "".join(
            example.source
            for block in parts["pycon"]
            for example in doctest.DocTestParser().get_examples(block)
        ),
    }
    return {module: source for module, source in sources.items() if source}


def main(folder):
    """Write the modules of all pages, and typical calls, into *folder*."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for module, source in modules(page).items():
            Path(folder, f"{module}.py").write_text(source)
    shutil.copy(TYPICAL_USE, folder)


if __name__ == "__main__":
    main(sys.argv[1])
