"""
Runner of a document's examples: ``console`` blocks in a shell, ``pycon`` blocks in one Python session.

The output must equal the document, except for values that differ with each run: IDs, times, tokens and lengths. An ID of
the document stands for the ID of this run wherever it appears again. ``UPDATE_DOCS=1 pytest tests/test_readme.py`` writes
the output to the documents.
"""

import doctest
import re
import subprocess
from pathlib import Path

from attrs import define, field

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(
    r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00)"
    r"|(?P<minute>\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?)"
    r"|(?P<date>(?<=date: )[^\r\n]+)"
    r'|(?P<token>(?<="next_page_token": ")[\w-]+)'
    r"|(?P<length>(?<=content-length: )\d+)"
)
_EXPORT = re.compile(r"export (\w+)=(\S*)")


@define
class Example:
    """A command of a document, and its expected output."""

    command: str
    expected: str


def blocks(document, *languages):
    """Return the blocks of *document* in one of *languages*."""
    return [match["text"] for match in BLOCK.finditer(document) if match["language"] in languages]


def examples(block):
    """Parse a console block: ``$ `` starts a command, ``> `` continues it, the rest is its output."""
    parsed = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            parsed.append(Example(line[2:], ""))
        elif line.startswith("> "):
            parsed[-1].command += line[2:]
        else:
            parsed[-1].expected += line
    return parsed


@define
class Console:
    """A shell in *folder*, shown as ``/home/anna``; *ports* maps the ports of the documents to those of this run."""

    folder: Path
    environ: dict
    ports: dict
    known: dict = field(factory=dict)

    def check(self, block):
        """Run *block*, and return it with the actual output."""
        printed = ""
        for example in examples(block):
            command = "\n> ".join(example.command.rstrip("\n").split("\n"))
            printed += f"$ {command}\n{self._check(example)}"
        return printed

    def _check(self, example):
        """Run *example*, and return its output; the expected one if only varying values differ."""
        printed = self._run(example.command)
        if not printed.endswith("\n") and printed:
            printed += "\n"
        same = alike(printed, example.expected)
        for kind in ("id", "token"):
            shown, real = (
                [match[0] for match in VARIES.finditer(text) if match.lastgroup == kind]
                for text in (example.expected, printed)
            )
            for before, now in zip(shown, real, strict=False):
                self.known.setdefault(before, now)
        for before, now in self.known.items():
            printed = printed.replace(now, before)
        return example.expected if same else printed

    def _run(self, command):
        for shown, real in self.known.items():
            command = command.replace(shown, real)
        command = self.here(command)
        if export := _EXPORT.fullmatch(command.strip()):
            self.environ[export[1]] = export[2]
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        printed = done.stdout.replace("\r", "").replace(str(self.folder), "/home/anna")
        for shown, real in self.ports.items():
            printed = printed.replace(f":{real}", f":{shown}")
        return printed

    def here(self, text):
        """Return *text* with the ports of this run."""
        for shown, real in self.ports.items():
            text = text.replace(f"localhost:{shown}", f"localhost:{real}")
        return text


class Session(doctest.DocTestRunner):
    """A Python session for all ``pycon`` blocks of a document."""

    def __init__(self, console):
        super().__init__(optionflags=doctest.ELLIPSIS)
        self._console = console
        self._globals = {"__name__": "example"}
        self._printed = {}

    def check(self, block):
        """Run *block*, and return it with the actual output."""
        parts = doctest.DocTestParser().parse(self._console.here(block))
        calls = [part for part in parts if isinstance(part, doctest.Example)]
        test = doctest.DocTest(calls, self._globals, "document", None, None, None)
        self._printed.clear()
        self.run(test, out=lambda _: None, clear_globs=False)
        self._globals = test.globs
        shown = doctest.DocTestParser().parse(block)
        return "".join(
            part if isinstance(part, str) else _prompted(part.source) + self._printed[id(real)]
            for part, real in zip(shown, parts, strict=True)
        )

    def report_start(self, out, test, example):
        """Print nothing."""

    def report_success(self, out, test, example, got):
        """Keep the expected output."""
        self._printed[id(example)] = example.want

    def report_failure(self, out, test, example, got):
        """Keep the output; the expected one if only varying values differ."""
        self._printed[id(example)] = example.want if alike(got, example.want) else got

    def report_unexpected_exception(self, out, test, example, exc_info):
        """Keep the error."""
        self._printed[id(example)] = f"{exc_info[0].__name__}: {exc_info[1]}\n"


def alike(printed, expected):
    """Return whether two texts differ in varying values only."""
    return VARIES.sub(_kind, printed) == VARIES.sub(_kind, expected)


def _kind(match):
    return f"<{match.lastgroup}>"


def _prompted(source):
    first, *rest = source.splitlines()
    return "".join([f">>> {first}\n", *(f"... {line}".rstrip() + "\n" for line in rest)])
