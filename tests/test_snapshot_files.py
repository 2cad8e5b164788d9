"""Snapshots as files: round trips, and damaged files."""

import gzip
import json

import pytest

from inventory.snapshots import Tally
from inventory_adapters.snapshots import SnapshotFileError, read_snapshot, write_snapshot
from inventory_adapters.storage.memory import MemoryRepository
from inventory_adapters.testing import a_shop


@pytest.fixture(scope="module")
def shop():
    repository = MemoryRepository()
    for change in a_shop():
        repository.commit(change)
    return repository


@pytest.fixture
def path(shop, tmp_path):
    """Return the path of a file with the shop."""
    path = tmp_path / "shop.jsonl.gz"
    with path.open("wb") as file:
        write_snapshot(file, shop.snapshot())
    return path


def lines_of(path):
    return gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)


def rewrite(path, lines):
    path.write_bytes(gzip.compress("".join(lines).encode()))


def error_of(path):
    with pytest.raises(SnapshotFileError) as caught:
        list(read_snapshot(path))
    return str(caught.value).removeprefix(f"{path} ")


def test_a_file_has_every_record(shop, path):
    """In the order of the snapshot, equal in every field."""
    records = [*read_snapshot(path)]

    assert records == [*shop.snapshot()]
    assert Tally.of(records) == Tally.of(shop.snapshot())


def test_a_file_is_lines_of_json(path):
    """A header, records that name their type, and their number."""
    lines = [json.loads(line) for line in lines_of(path)]

    assert lines[0] == {"format": "inventory-snapshot", "version": 1}
    assert [line["type"] for line in lines[1:4]] == ["item", "item", "item"]
    assert lines[1]["value"]["price"] == "249.90"
    assert lines[-1] == {
        "end": {"item": 3, "movement": 6, "idempotency_record": 5, "reservation": 5}
    }


def test_a_newer_version_is_refused_by_name(path):
    """An older program would lose what it does not know."""
    _, *rest = lines_of(path)
    rewrite(path, ['{"format": "inventory-snapshot", "version": 2}\n', *rest])

    assert error_of(path) == (
        "was written by a newer version of this program (format 2, supported: 1). Upgrade."
    )


def test_a_file_may_be_cut_off_at_any_byte(path):
    """It is refused."""
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])

        assert error_of(path).startswith("is cut off at line ")


def test_a_file_without_its_last_lines_is_refused(path):
    """Although each of its lines is whole."""
    lines = lines_of(path)
    for count in range(len(lines)):
        rewrite(path, lines[:count])

        assert error_of(path) == f"is cut off at line {count + 1}"


def test_a_line_that_is_missing_or_repeated_is_noticed(path):
    """By the number of records at the end."""
    lines = lines_of(path)
    for changed in (lines[:1] + lines[2:], [*lines[:2], *lines[1:]]):
        rewrite(path, changed)

        assert error_of(path).startswith(f"is damaged at line {len(changed)}: {{'item': 3, ")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"type": "shop", "value": {}}',
        '{"type": "item", "value": {}}',
        '{"type": ["item"], "value": {}}',
        '{"type": "item", "value": 1}',
        '{"type": "idempotency_record", "value": {"record_id": "r", "fingerprint": "f", "answer": 1}}',
    ],
)
def test_a_damaged_line_is_named(path, line):
    """Nothing of it is taken for a record."""
    lines = lines_of(path)
    rewrite(path, [*lines[:2], line + "\n", *lines[3:]])

    assert error_of(path).startswith("is damaged at line 3: ")


def test_text_after_the_end_is_refused(path):
    """Such as a second file."""
    lines = lines_of(path)
    rewrite(path, [*lines, *lines])

    assert error_of(path) == f"is damaged at line {len(lines) + 1}: text after the end"


@pytest.mark.parametrize(
    "content",
    [
        b"SQLite format 3\0",
        gzip.compress(b"\xff\n", mtime=0),
        gzip.compress(b'{"format": "x"}\n', mtime=0),
    ],
)
def test_another_file_is_refused(path, content):
    """At its first line."""
    path.write_bytes(content)

    assert error_of(path).startswith("is damaged at line 1: ")


def test_a_flipped_bit_is_noticed(path):
    """Gzip has a checksum."""
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)

    assert error_of(path).startswith("is damaged at line ")
