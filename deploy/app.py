"""
The CDK app: from context to settings to stack.

Run it with the CDK's command line, or on its own:

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
    # Python puts the folder of this script on the path. The package `deploy` is found from its parent. Installed packages take
    # precedence over `src`.
    sys.path[0] = str(ROOT)
    sys.path.append(str(ROOT / "src"))

# Before aws_cdk, because this package selects the Node that aws_cdk runs on.
import deploy  # noqa: F401  # isort: skip

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from deploy.bundle import DEFAULT_OUTPUT, Bundle, BundleError
from deploy.environments import SettingsError, require_known
from deploy.grants import UnknownNeedsError
from deploy.stack import STUB_BUNDLE, TapStack, TapStackProps

__all__ = ["main", "make_app"]


def main() -> None:
    """Synthesize the app; exit with a message if that is not possible."""
    try:
        app = make_app()
    except (BundleError, SettingsError, UnknownNeedsError) as error:
        sys.exit(f"deploy/app.py: {error}")
    try:
        app.synth()
    except RuntimeError as error:  # jsii raises every error of the CDK as this type.
        if "ValidationFailed" not in str(error):
            raise
        # The findings are in this message, or the CDK has already printed them.
        sys.exit(f"deploy/app.py: {error}")


def make_app(
    context: Mapping[str, Any] | None = None,
    *,
    outdir: str | None = None,
    check_templates: bool | None = None,
) -> cdk.App:
    """
    Return the app with its one stack, which cdk-nag checks during synthesis.

    Args:
        context: Context in addition to that of cdk.json; the command line overrides it.
        outdir: The output folder; None for CDK_OUTDIR, or `cdk.out` if that is not set.
        check_templates: Whether the CDK validates the template, which takes seconds; None for the value of CDK_VALIDATION.

    Raises:
        BundleError: The bundle is missing or stale.
        SettingsError: The settings are invalid, or do not match the bundle.
    """
    app = cdk.App(
        context={**_flags(), **(context or {})},
        outdir=outdir or os.environ.get("CDK_OUTDIR", "cdk.out"),
        builtin_cloud_formation_validation=check_templates,
    )
    require_known(app.node.get_all_context())
    get_context = app.node.try_get_context
    suffix = get_context("environmentSuffix")
    is_stub = str(get_context("stubBundle")).lower() == "true"
    folder = STUB_BUNDLE if is_stub else Path(get_context("bundle") or DEFAULT_OUTPUT)
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
    runtime = stack.settings.python_version
    if python not in {None, runtime}:
        raise SettingsError(
            f"The bundle in {folder} is compiled for Python {python}, but the functions run on {runtime}."
            f" Run `nox -s bundle -- --python {runtime}`."
        )
    if not is_stub:
        Bundle(folder).require_current()
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    return app


def _flags() -> dict[str, Any]:
    """Return the context of cdk.json, which only the CDK's command line reads by itself."""
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    return context


if __name__ == "__main__":
    main()
