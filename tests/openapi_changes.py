"""
Incompatible changes between two OpenAPI documents.

    python tests/openapi_changes.py TAG

lists the changes of docs/openapi.json since TAG that break a client, and exits with 1 if there are any. A valid request must
stay valid. A response must stay one that the old document allows, but may have new properties.
"""

import json
import subprocess
import sys
from math import inf
from pathlib import Path

from attrs import frozen

DOCUMENT = "docs/openapi.json"
METHODS = ("get", "put", "post", "delete", "patch")


def breaking_changes(old, new):
    """Return a line for each change from *old* to *new* that breaks a client."""
    return [
        change
        for path, operations in old["paths"].items()
        for method in METHODS
        if method in operations
        for change in _operation(
            f"{method.upper()} {path}",
            _Part(old, operations[method]),
            _Part(new, new["paths"].get(path, {}).get(method)),
        )
    ]


@frozen
class _Part:
    """A part of a document, with its references resolved."""

    document: dict
    _content: dict | None

    @property
    def content(self):
        part = self._content or {}
        while "$ref" in part:
            target = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            part = target | {key: value for key, value in part.items() if key != "$ref"}
        return part

    def __bool__(self):
        return self._content is not None

    def get(self, name, default=None):
        return self.content.get(name, default)

    def part(self, *names):
        """Return a part of this part, which is false if it does not exist."""
        if not names:
            return self
        return _Part(self.document, self.content.get(names[0])).part(*names[1:])

    def parts(self, name):
        """Return the parts of a list, or this part if it has no such list."""
        return [_Part(self.document, it) for it in self.content.get(name, [self.content])]


def _operation(name, old, new):
    if not new:
        yield f"{name}: removed"
        return
    before, after = _parameters(old), _parameters(new)
    for key in before.keys() | after.keys():
        place = f"{name}, parameter {key[1]}"
        if key not in after:
            yield f"{place}: removed"
            continue
        if after[key].get("required") and not (key in before and before[key].get("required")):
            yield f"{place}: required"
        if key in before:
            yield from _narrowed(place, before[key].part("schema"), after[key].part("schema"))
    yield from _body(name, old.part("requestBody"), new.part("requestBody"))
    for status in old.get("responses"):
        place = f"{name}, {status}"
        response, now = old.part("responses", status), new.part("responses", status)
        if not now:
            yield f"{place}: removed"
            continue
        yield from _body(place, response, now, is_response=True)
        for header in response.get("headers", {}).keys() - now.get("headers", {}).keys():
            yield f"{place}, header {header}: removed"


def _parameters(operation):
    found = operation.parts("parameters") if operation.get("parameters") else []
    return {(parameter.get("in"), parameter.get("name")): parameter for parameter in found}


def _body(name, old, new, *, is_response=False):
    if new.get("required") and not old.get("required"):
        yield f"{name}, body: required"
    for kind in old.get("content", {}):
        before, after = (it.part("content", kind, "schema") for it in (old, new))
        if not after:
            yield f"{name}, body {kind}: removed"
        elif is_response:
            # The other way round: the old document must allow each new response.
            yield from _narrowed(f"{name}, body", after, before, is_response=True)
        else:
            yield from _narrowed(f"{name}, body", before, after)


def _narrowed(place, wide, narrow, *, is_response=False):
    """Yield the reasons why the schema *narrow* does not allow each value of *wide*."""
    if wide.get("anyOf") or narrow.get("anyOf"):
        for one in wide.parts("anyOf"):
            if all([*_narrowed(place, one, other)] for other in narrow.parts("anyOf")):
                yield f"{place}: an alternative is no longer allowed"
        return
    yield from _fewer_values(place, wide, narrow)
    properties, others = wide.get("properties", {}), narrow.get("properties", {})
    removed = others.keys() - properties if is_response else properties.keys() - others
    if is_response or narrow.get("additionalProperties") is False:
        yield from (f"{place}.{name}: removed" for name in removed)
    for name in {*narrow.get("required", ())} - {*wide.get("required", ())} - removed:
        yield f"{place}.{name}: {'optional' if is_response else 'required'}"
    inner = [(f".{name}", ("properties", name)) for name in properties.keys() & others]
    for suffix, names in [*inner, ("[]", ("items",))]:
        parts = wide.part(*names), narrow.part(*names)
        if all(parts):
            yield from _narrowed(place + suffix, *parts, is_response=is_response)


def _fewer_values(place, wide, narrow):
    if lost := _types(wide) - _types(narrow):
        yield f"{place}: type {' '.join(sorted(lost))}"
    allowed = narrow.get("enum")
    if allowed is not None and not {*wide.get("enum", [None])} <= {*allowed}:
        yield f"{place}: fewer values"
    for bound in ("minimum", "minLength", "minItems"):
        if narrow.get(bound, -inf) > wide.get(bound, -inf):
            yield f"{place}: {bound} {narrow.get(bound)}"
    for bound in ("maximum", "maxLength", "maxItems"):
        if narrow.get(bound, inf) < wide.get(bound, inf):
            yield f"{place}: {bound} {narrow.get(bound)}"
    for keyword in ("const", "format", "not", "pattern"):
        if narrow.get(keyword) not in (None, wide.get(keyword)):
            yield f"{place}: {keyword}"


def _types(schema):
    types = schema.get("type", ["array", "boolean", "null", "number", "object", "string"])
    types = {types} if isinstance(types, str) else {*types}
    return types | {"integer"} if "number" in types else types


def main(tag):
    """Print the breaking changes since *tag*, and return the exit code."""
    shown = subprocess.run(["git", "show", f"{tag}:{DOCUMENT}"], capture_output=True, check=True)
    changes = breaking_changes(json.loads(shown.stdout), json.loads(Path(DOCUMENT).read_text()))
    sys.stdout.writelines(f"{change}\n" for change in sorted(changes))
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
