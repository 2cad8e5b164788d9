"""
Runs the examples of a document: ``console`` blocks in a shell beside a server, ``pycon`` blocks as doctests.

What an example prints must be what the document says, but for what differs with each run: ids, times, tokens and request ids.
An id that a document shows stands for the one of this run from then on, so that a reader can follow it through the page.
``UPDATE_DOCS=1 pytest tests/test_readme.py`` writes what was printed into the documents.
"""

import re
import subprocess
from pathlib import Path

from attrs import define, field

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(
    r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00)"
    r"|(?P<date>(?<=date: )[^\r\n]+)"
    r'|(?P<token>(?<="next_page_token": ")[\w-]+)'
    r"|(?P<length>(?<=content-length: )\d+)"
)


@define
class Example:
    """A command of a document, and what the document says that it prints."""

    command: str
    expected: str


def blocks(document, language):
    return [match["text"] for match in BLOCK.finditer(document) if match["language"] == language]


def examples(block):
    """Take a console block apart: a command after each ``$ ``, with the lines that continue it, then what it prints."""
    found = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Example(line[2:], ""))
        elif line.startswith("> "):
            found[-1].command += line[2:]
        else:
            found[-1].expected += line
    return found


@define
class Console:
    """A shell in *folder*, in which the documents' server address means the one at *port*."""

    folder: Path
    environ: dict
    port: int
    known: dict = field(factory=dict)

    def run(self, command):
        for shown, real in self.known.items():
            command = command.replace(shown, real)
        done = subprocess.run(
            ["bash", "-c", command.replace("localhost:8080", f"localhost:{self.port}")],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout.replace("\r", "").replace(f":{self.port}", ":8080")

    def check(self, example):
        """Run *example*; return what it printed, in the document's own words where only varying parts differ."""
        printed = self.run(example.command)
        if not printed.endswith("\n") and printed:
            printed += "\n"
        same = VARIES.sub(_kind, printed) == VARIES.sub(_kind, example.expected)
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


def _kind(match):
    return f"<{match.lastgroup}>"
