"""
Context → environment → stack.

Runs under the CDK's command line, and alone:

    CDK_OUTDIR=out CDK_CONTEXT_JSON='{"environmentSuffix": "dev"}' python deploy/app.py
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    # Python puts this folder on the path, which is inside the package: what has to be there is its parent. What is installed
    # goes before `src`.
    sys.path[0] = str(ROOT)
    sys.path.append(str(ROOT / "src"))

# Before aws_cdk: it says which Node to run.
import deploy  # noqa: F401  # isort: skip

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from deploy.bundle import DEFAULT_OUTPUT, Bundle, BundleError
from deploy.environments import SettingsError, require_known
from deploy.grants import UnknownNeedsError
from deploy.stack import STUB_BUNDLE, TapStack, TapStackProps

__all__ = ["main", "make_app"]


def main() -> None:
    """Synthesize; whatever stands in the way of it is told in a sentence."""
    try:
        app = make_app()
    except (BundleError, SettingsError, UnknownNeedsError) as error:
        sys.exit(f"deploy/app.py: {error}")
    try:
        app.synth()
    except RuntimeError as error:  # What jsii makes of any error of the CDK's.
        if "ValidationFailed" not in str(error):
            raise
        # The CDK has told, or tells in this very message, what was found.
        sys.exit(f"deploy/app.py: {error}")


def make_app(
    context: Mapping[str, Any] | None = None,
    *,
    outdir: str | None = None,
    check_templates: bool | None = None,
) -> cdk.App:
    """
    Return the app with its one stack, checked by cdk-nag when it is synthesized.

    Args:
        context: What is said in addition to cdk.json; the command line goes before it.
        outdir: Where the result is written; None for what CDK_OUTDIR says, or `cdk.out`.
        check_templates: Whether the CDK checks the template too, which takes seconds; None for what CDK_VALIDATION says.

    Raises:
        BundleError: There is no code to deploy, or it is stale.
        SettingsError: The context asks for what cannot be.
    """
    app = cdk.App(
        context={**_flags(), **(context or {})},
        outdir=outdir or os.environ.get("CDK_OUTDIR", "cdk.out"),
        builtin_cloud_formation_validation=check_templates,
    )
    require_known(app.node.get_all_context())
    said = app.node.try_get_context
    suffix = said("environmentSuffix")
    is_stub = str(said("stubBundle")).lower() == "true"
    folder = STUB_BUNDLE if is_stub else Path(said("bundle") or DEFAULT_OUTPUT)
    python = None if is_stub else Bundle(folder).python
    stack = TapStack(
        app,
        f"TapStack{'dev' if suffix is None else suffix}",
        TapStackProps(
            environment_suffix=suffix,
            bundle=folder,
            env=cdk.Environment(
                account=os.environ.get("CDK_DEFAULT_ACCOUNT"),
                region=os.environ.get("CDK_DEFAULT_REGION"),
            ),
        ),
    )
    wanted = stack.settings.python_version
    if python not in {None, wanted}:
        raise SettingsError(
            f"The bundle in {folder} is compiled for Python {python}, and the functions are to run on {wanted}:"
            f" `nox -s bundle -- --python {wanted}` makes one that fits."
        )
    if not is_stub:
        Bundle(folder).require_current()
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    return app


def _flags() -> dict[str, Any]:
    """Return the context of cdk.json, so that a synth without the command line yields what one with it does."""
    told: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))
    context: dict[str, Any] = told["context"]
    return context


if __name__ == "__main__":
    main()
