"""The stack, deployed to an emulated AWS as the CDK's command line deploys it: assets, template, change of state, outputs."""

import json
import os
import shutil
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

import httpx
from attrs import define, field

from tests.e2e.ministack import Aws

ROOT = Path(__file__).parent.parent.parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
DEPLOY_SECONDS = 90

# What ministack's CloudFormation does not know. (Its gateway asks no firewall anyway.)
UNKNOWN = {"AWS::WAFv2::WebACLAssociation"}


def synthesize(suffix, bundle, output, **context):
    """Run deploy/app.py alone, as the documentation says."""
    said = {"environmentSuffix": suffix, "bundle": str(bundle), "runtime": PYTHON, **context}
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "app.py"],
        env={
            # Whose account and region this shell works on has no place here.
            **{name: it for name, it in os.environ.items() if not name.startswith("CDK_")},
            "CDK_OUTDIR": str(output),
            "CDK_CONTEXT_JSON": json.dumps(said),
            "CDK_VALIDATION": "false",  # `nox -s synth` does
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return output


@define(slots=False)
class Deployment:
    """
    A deployed stack.

    Attributes:
        aws: Where.
        suffix: The environment.
        assembly: The folder that the CDK made.
        template: The template in it, less what is `left_out`.
        left_out: What the emulator cannot make, in words.
    """

    aws: Aws
    suffix: str
    assembly: Path
    template: dict = field(init=False, repr=False)
    left_out: list[str] = field(init=False)

    def __attrs_post_init__(self):
        whole = json.loads((self.assembly / f"{self.name}.template.json").read_text())
        self.left_out = list(_leave_out(whole["Resources"]))
        self.template = whole

    @classmethod
    def make(cls, aws, suffix, assembly):
        made = cls(aws, suffix, assembly)
        made._deploy(made._upload_assets())
        made._attach_validators()
        return made

    @property
    def name(self):
        return f"TapStack{self.suffix}"

    @cached_property
    def resources(self):
        """The physical id of each resource, by logical id."""
        pages = self.aws.client("cloudformation").get_paginator("list_stack_resources")
        return {
            it["LogicalResourceId"]: it["PhysicalResourceId"]
            for page in pages.paginate(StackName=self.name)
            for it in page["StackResourceSummaries"]
        }

    @cached_property
    def outputs(self):
        [stack] = self.aws.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}

    @cached_property
    def api_id(self):
        return self.resources[self._one("AWS::ApiGateway::RestApi")]

    @cached_property
    def api_key(self):
        """The API key, as an operator finds it; None where none is asked for."""
        found = self.aws.client("apigateway").get_api_keys(
            nameQuery=f"inventory-api-key-{self.suffix}", includeValues=True
        )
        return next((it["value"] for it in found["items"]), None)

    def http(self, **headers):
        """Return an HTTP client of the API, with the key if there is one."""
        key = {"X-Api-Key": self.api_key} if self.api_key else {}
        return httpx.Client(
            # The address of the output, as the emulator serves it to those who cannot resolve its name.
            base_url=f"{self.aws.endpoint}/_aws/execute-api/{self.api_id}/{self.suffix}",
            headers={**key, **headers},
            timeout=30,
            trust_env=False,
        )

    def role_arn(self, operation):
        function = f"inventory-{self.suffix}-{operation.replace('_', '-')}"
        told = self.aws.client("lambda").get_function_configuration(FunctionName=function)
        return told["Role"]

    def _one(self, kind):
        [found] = [name for name, it in self.template["Resources"].items() if it["Type"] == kind]
        return found

    def _upload_assets(self):
        """Put the code where the template looks for it, and the template beside it; return the template's address."""
        s3 = self.aws.client("s3")
        manifest = json.loads((self.assembly / f"{self.name}.assets.json").read_text())
        account = self.aws.client("sts").get_caller_identity()["Account"]
        for asset in manifest["files"].values():
            [to] = asset["destinations"].values()
            bucket = (
                to["bucketName"]
                .replace("${AWS::AccountId}", account)
                .replace("${AWS::Region}", s3.meta.region_name)
            )
            s3.create_bucket(Bucket=bucket)
            path = self.assembly / asset["source"]["path"]
            if asset["source"]["packaging"] == "zip":
                body = Path(shutil.make_archive(str(path), "zip", path)).read_bytes()
            else:
                body = json.dumps(self.template).encode()
                address = f"{self.aws.endpoint}/{bucket}/{to['objectKey']}"
            s3.put_object(Bucket=bucket, Key=to["objectKey"], Body=body)
        return address

    def _deploy(self, template_address):
        # What `cdk bootstrap` leaves, and every template of the CDK's asks for.
        self.aws.client("ssm").put_parameter(
            Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True
        )
        cloudformation = self.aws.client("cloudformation")
        cloudformation.create_stack(
            StackName=self.name,
            TemplateURL=template_address,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        deadline = time.monotonic() + DEPLOY_SECONDS
        while (status := self._status(cloudformation)).endswith("_IN_PROGRESS"):
            assert time.monotonic() < deadline, f"{self.name} is still {status}"
            time.sleep(0.2)
        assert status == "CREATE_COMPLETE", self._failures(cloudformation)

    def _status(self, cloudformation):
        [stack] = cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return stack["StackStatus"]

    def _failures(self, cloudformation):
        events = cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return [
            f"{it['LogicalResourceId']}: {it.get('ResourceStatusReason')}"
            for it in events
            if it["ResourceStatus"].endswith("FAILED")
        ]

    def _attach_validators(self):
        """Do what ministack's CloudFormation leaves undone: make the request validators, and give them to the methods."""
        gateway = self.aws.client("apigateway")
        resources = self.template["Resources"]
        made = {}
        for logical_id, it in resources.items():
            if it["Type"] == "AWS::ApiGateway::RequestValidator":
                wanted = it["Properties"]
                made[logical_id] = gateway.create_request_validator(
                    restApiId=self.api_id,
                    name=logical_id,
                    validateRequestBody=wanted["ValidateRequestBody"],
                    validateRequestParameters=wanted["ValidateRequestParameters"],
                )["id"]
        for it in resources.values():
            if it["Type"] == "AWS::ApiGateway::Method":
                wanted = it["Properties"]
                gateway.update_method(
                    restApiId=self.api_id,
                    resourceId=self._gateway_resource(wanted["ResourceId"]),
                    httpMethod=wanted["HttpMethod"],
                    patchOperations=[
                        {
                            "op": "replace",
                            "path": "/requestValidatorId",
                            "value": made[wanted["RequestValidatorId"]["Ref"]],
                        }
                    ],
                )

    def _gateway_resource(self, named):
        if "Ref" in named:
            return self.resources[named["Ref"]]
        api = self.aws.client("apigateway").get_rest_api(restApiId=self.api_id)
        return api["rootResourceId"]


def _leave_out(resources):
    """Take out of *resources* what the emulator cannot make, and tell what that is."""
    for name, resource in list(resources.items()):
        if resource["Type"] in UNKNOWN:
            del resources[name]
            yield f"{name}: there is no {resource['Type']}"
        elif resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
            _simplify(resource["Properties"])
            yield f"{name}: an alarm watches one metric, not a sum"


def _simplify(alarm):
    """Have *alarm* watch the first metric that it adds up, so that what refers to it still finds it."""
    stat = next(it["MetricStat"] for it in alarm.pop("Metrics") if "MetricStat" in it)
    metric = stat["Metric"]
    alarm |= {
        "Namespace": metric["Namespace"],
        "MetricName": metric["MetricName"],
        "Dimensions": metric.get("Dimensions", []),
        "Statistic": stat["Stat"],
        "Period": stat["Period"],
    }
