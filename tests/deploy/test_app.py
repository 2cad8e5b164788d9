"""`deploy/app.py`, run as a script."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.app import make_app
from deploy.bundle import BundleError, sources_digest
from deploy.environments import SettingsError

pytestmark = pytest.mark.synth

ROOT = Path(__file__).parent.parent.parent
PROD = {
    "environmentSuffix": "prod",
    "stubBundle": "true",
    "allowedOrigins": "https://shop.example.com",
}


def run(tmp_path, context, command=(ROOT / "deploy" / "app.py",)):
    """Run *command* in an unrelated folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        cwd=elsewhere,
        env={
            **environ,
            "CDK_OUTDIR": str(tmp_path / "out"),
            "CDK_CONTEXT_JSON": json.dumps(context),
            "CDK_VALIDATION": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_app_runs_from_any_folder(tmp_path, prod):
    """It writes the template that the tests of the stack check, and nothing else."""
    result = run(tmp_path, PROD)

    assert (result.returncode, result.stderr) == (0, "")
    template = json.loads((tmp_path / "out" / "TapStackprod.template.json").read_text())
    assert template == prod.template
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"environmentSuffix": "Prod", "stubBundle": "true"}, "environmentSuffix must be"),
        ({"environmentSuffix": "prod", "stubBundle": "true"}, "allowedOrigins must name"),
        ({"environmentSuffix": "dev", "bundle": "/nowhere"}, "There is no bundle in /nowhere"),
        ({"environmentSuffix": "staging", "stubBundle": "true"}, "staging may hold real data"),
        ({"environmentSuffix": "dev", "stubBundle": "true", "wav": "true"}, "wav is not a setting"),
    ],
)
def test_invalid_context_is_rejected(tmp_path, context, message):
    """No template is written that could be deployed."""
    with pytest.raises((SettingsError, BundleError), match=f"^{message}"):
        make_app(context, outdir=str(tmp_path / "out"))

    assert not list((tmp_path / "out").glob("*.template.json"))


def test_app_exits_with_the_message_of_an_error(tmp_path):
    """The message goes to stderr without a traceback."""
    result = run(tmp_path, {"environmentSuffix": "prod", "stubBundle": "true"})

    assert result.returncode != 0
    assert re.fullmatch(r"deploy/app\.py: allowedOrigins must name .*[^.]\n", result.stderr)
    assert not list((tmp_path / "out").glob("*.template.json"))


# Runs app.py without the acknowledgements of the functions.
UNACKNOWLEDGED = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "src")!r}]
import deploy.functions
deploy.functions.acknowledge = lambda *_: None
from deploy.app import main
main()
"""


def test_cdk_nag_finding_fails_the_synthesis(tmp_path):
    """The output names the finding and its construct."""
    result = run(tmp_path, PROD, ["-c", UNACKNOWLEDGED])

    assert result.returncode != 0
    assert "AwsSolutions-IAM5[Resource::*]" in result.stderr
    assert "TapStackprod/Functions/create-item/Role" in result.stderr
    assert "deploy/app.py: ValidationFailed" in result.stderr
    assert "Traceback" not in result.stderr


def test_bundle_for_another_python_version_is_rejected(tmp_path):
    """The functions could not use its compiled code."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / ".python-version").write_text("3.12\n")
    (bundle / ".sources").write_text(sources_digest())
    context = {"environmentSuffix": "dev", "bundle": str(bundle)}

    make_app({**context, "runtime": "3.12"}, outdir=str(tmp_path / "out"))
    with pytest.raises(SettingsError, match=r"is compiled for Python 3\.12, .* run on 3\.11\."):
        make_app(context, outdir=str(tmp_path / "out"))


def test_stale_bundle_is_rejected(tmp_path):
    """A deployment with old code would go unnoticed."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / ".python-version").write_text("3.11\n")
    (bundle / ".sources").write_text(sources_digest()[::-1])

    with pytest.raises(
        BundleError, match=r"^The bundle in .* is stale, .*: run `nox -s bundle .*`\.$"
    ):
        make_app({"environmentSuffix": "dev", "bundle": str(bundle)}, outdir=str(tmp_path / "out"))

    assert not list((tmp_path / "out").glob("*.template.json"))


def test_no_finding_is_acknowledged_for_the_whole_stack(prod):
    """Each acknowledgement is on the construct that it explains."""
    assert not [entry for entry in prod.stack.node.metadata if "acknowledge" in entry.type.lower()]


def test_cdk_json_runs_the_app():
    """The CDK's command line runs the same script."""
    settings = json.loads((ROOT / "cdk.json").read_text())

    assert settings["app"] == "python3 deploy/app.py"
