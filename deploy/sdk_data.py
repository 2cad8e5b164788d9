"""
The data that botocore reads to make our clients, cut down to the operations we call.

The whole is 28 MB, and reading its part for DynamoDB is a quarter of a cold start. What is made here takes the place of the
data in a copy of the very botocore that it was made from, so the two cannot be of different versions.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from botocore import xform_name
from botocore.loaders import Loader

from deploy.reach import Reach

__all__ = ["DataError", "sdk_data", "used_operations"]

# Read for any client: where the services are, the defaults of its modes, and how the older ways to retry go about it.
_COMMON: Final = ("partitions", "sdk-default-configuration", "_retry")

Operations = Mapping[str, Collection[str]]


class DataError(Exception):
    """botocore has no such data; the message says of what."""


def used_operations(reach: Reach) -> Operations:
    """
    Return the operations of each service that *reach* may call: ``{"ssm": {"GetParameter"}}``.

    An operation is used where there is a client for its service and some word is the name of its method.

    Raises:
        DataError: No operation is used of a service that there is a client for.
    """
    services = sorted(text for called, text in reach.calls if called == "make_client")
    used = {service: _mentioned(service, reach.words) for service in services}
    if unused := [service for service, operations in used.items() if not operations]:
        raise DataError(f"Nothing calls an operation of {' or '.join(unused)}.")
    return used


def _mentioned(service: str, words: Collection[str]) -> frozenset[str]:
    operations: dict[str, Any] = _loader().load_service_model(service, "service-2")["operations"]
    return frozenset(operation for operation in operations if xform_name(operation) in words)


def sdk_data(used: Operations) -> Iterator[tuple[PurePosixPath, bytes]]:
    """
    Yield the files that a client of each service needs: the place in botocore's `data`, and the content.

    Args:
        used: The operations of each service that the clients shall have.
    """
    loader = _loader()
    for name in _COMMON:
        yield _file(name, loader.load_data(name))
    yield _file("endpoints", _endpoints(loader.load_data("endpoints"), used))
    for service, operations in used.items():
        version = loader.determine_latest_version(service, "service-2")
        model = loader.load_service_model(service, "service-2", version)
        rules = loader.load_service_model(service, "endpoint-rule-set-1", version)
        yield _file(f"{service}/{version}/service-2", _model(model, operations))
        yield _file(f"{service}/{version}/endpoint-rule-set-1", rules)


def _loader() -> Loader:
    # Without ~/.aws/models: what this user has there is no part of botocore.
    return Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


def _file(name: str, data: Any) -> tuple[PurePosixPath, bytes]:
    return PurePosixPath(f"{name}.json"), json.dumps(data, separators=(",", ":")).encode()


def _endpoints(endpoints: dict[str, Any], services: Collection[str]) -> dict[str, Any]:
    """Return *endpoints* with all partitions and regions, but with *services* alone."""
    partitions = [
        partition
        | {
            "services": {
                it: partition["services"][it] for it in partition["services"] if it in services
            }
        }
        for partition in endpoints["partitions"]
    ]
    return endpoints | {"partitions": partitions}


def _model(model: dict[str, Any], operations: Collection[str]) -> dict[str, Any]:
    """Return the *model* of a service with *operations*, what they reach, and nothing for people to read."""
    kept = {name: it for name, it in model["operations"].items() if name in operations}
    reached: set[str] = set()
    waiting = list(_named_shapes(kept))
    while waiting:
        if (name := waiting.pop()) not in reached:
            reached.add(name)
            waiting += _named_shapes(model["shapes"][name])
    shapes = {name: it for name, it in model["shapes"].items() if name in reached}
    silent: dict[str, Any] = _undocumented({**model, "operations": kept, "shapes": shapes})
    return silent


def _named_shapes(node: Any) -> Iterator[str]:
    match node:
        case {"shape": str(name)}:
            yield name
        case dict():
            for each in node.values():
                yield from _named_shapes(each)
        case list():
            for each in node:
                yield from _named_shapes(each)


def _undocumented(node: Any) -> Any:
    match node:
        case dict():
            return {
                key: _undocumented(value)
                for key, value in node.items()
                # A text: there are members of that name, which are not.
                if not (key == "documentation" and isinstance(value, str))
            }
        case list():
            return [_undocumented(each) for each in node]
        case _:
            return node
