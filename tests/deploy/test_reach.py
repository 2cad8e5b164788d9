"""What code can come to run, on small packages made up for it."""

import pytest

from deploy.reach import reach_of


@pytest.fixture
def source(tmp_path):
    """Writes modules: ``source(a="import b")``; a name with two underscores is a module within a package."""

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def reached(source, module="entry"):
    return set(reach_of(module, source=source).modules)


def test_imports_are_followed_to_their_end(source):
    """Of a module, of a name in a module, of a module in a package."""
    folder = source(
        entry="import a\nfrom b import name\nfrom pack import inner",
        a="import c",
        b="name = 1",
        c="import json, attrs",
        d="",
        pack__inner="",
        pack__other="",
    )
    (folder / "pack" / "__init__.py").touch()

    assert reached(folder) == {"entry", "a", "b", "c", "pack", "pack.inner"}
    assert reach_of("entry", source=folder).others == {"json", "attrs"}


def test_modules_may_import_each_other(source):
    """A circle has an end."""
    assert reached(source(entry="import a", a="import entry")) == {"entry", "a"}


def test_what_only_a_type_checker_imports_does_not_count(source):
    """But what runs instead does."""
    folder = source(
        entry="if TYPE_CHECKING:\n    import a\nelse:\n    import b\nimport c", a="", b="", c=""
    )

    assert reached(folder) == {"entry", "b", "c"}


def test_a_function_counts_once_its_name_is_mentioned(source):
    """In code that counts: what only unused code mentions stays unused."""
    folder = source(
        entry="import faces\nfaces.used()",
        faces=(
            "def used():\n    import a\n    helper()\n"
            "def helper():\n    import b\n"
            "def unused():\n    import c\n    only_there()\n"
            "def only_there():\n    import d\n"
        ),
        **dict.fromkeys("abcd", ""),
    )

    assert reached(folder) == {"entry", "faces", "a", "b"}


@pytest.mark.parametrize(
    "code",
    [
        "@register\ndef f():\n    import a",
        "def __getattr__(name):\n    import a",
        "class C:\n    def method(self):\n        import a",
        "async def f():\n    import a",
        "def f(x=g):\n    pass\ndef g():\n    import a",
        "try:\n    import a\nexcept ImportError:\n    pass",
    ],
)
def test_what_may_run_without_its_name_counts(source, code):
    """Where in doubt, it is reached."""
    assert "a" in reached(source(entry=code, a=""))
