"""Deployment of the stack to an emulated AWS, like that of the CDK's command line."""

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

# Resource types that CloudFormation of ministack does not support.
UNSUPPORTED = {"AWS::WAFv2::WebACLAssociation"}


def synthesize(suffix, bundle, output, **settings):
    """Run deploy/app.py on its own, as in the documentation."""
    context = {"environmentSuffix": suffix, "bundle": str(bundle), "runtime": PYTHON, **settings}
    process = subprocess.run(
        [sys.executable, ROOT / "deploy" / "app.py"],
        env={
            # Without the account and region of the shell.
            **{name: value for name, value in os.environ.items() if not name.startswith("CDK_")},
            "CDK_OUTDIR": str(output),
            "CDK_CONTEXT_JSON": json.dumps(context),
            "CDK_VALIDATION": "false",  # `nox -s synth` validates the templates
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return output


@define(slots=False)
class Deployment:
    """
    A deployed stack.

    Attributes:
        aws: The emulated AWS.
        suffix: The environment.
        assembly: The output folder of the CDK.
        template: Its template, without the `omitted` resources.
        omitted: Descriptions of resources that the emulator does not support.
    """

    aws: Aws
    suffix: str
    assembly: Path
    template: dict = field(init=False, repr=False)
    omitted: list[str] = field(init=False)

    def __attrs_post_init__(self):
        self.template = json.loads((self.assembly / f"{self.name}.template.json").read_text())
        self.omitted = list(_omit_unsupported(self.template["Resources"]))

    @classmethod
    def create(cls, aws, suffix, assembly):
        deployment = cls(aws, suffix, assembly)
        deployment._deploy(deployment._upload_assets())
        deployment._attach_validators()
        return deployment

    @property
    def name(self):
        return f"TapStack{self.suffix}"

    @cached_property
    def resources(self):
        """The physical id of each resource, by logical id."""
        pages = self.aws.client("cloudformation").get_paginator("list_stack_resources")
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=self.name)
            for resource in page["StackResourceSummaries"]
        }

    @cached_property
    def outputs(self):
        [stack] = self.aws.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    @cached_property
    def api_id(self):
        return self.resources[self._one("AWS::ApiGateway::RestApi")]

    @cached_property
    def api_key(self):
        """The API key, found by its name; None if there is none."""
        keys = self.aws.client("apigateway").get_api_keys(
            nameQuery=f"inventory-api-key-{self.suffix}", includeValues=True
        )
        return next((key["value"] for key in keys["items"]), None)

    def http(self, **headers):
        """Return an HTTP client of the API, with the API key if there is one."""
        key = {"X-Api-Key": self.api_key} if self.api_key else {}
        return httpx.Client(
            # The emulator serves the API at this path, too, because its domain name cannot be resolved.
            base_url=f"{self.aws.endpoint}/_aws/execute-api/{self.api_id}/{self.suffix}",
            headers={**key, **headers},
            timeout=30,
            trust_env=False,
        )

    def role_arn(self, operation):
        function = f"inventory-{self.suffix}-{operation.replace('_', '-')}"
        configuration = self.aws.client("lambda").get_function_configuration(FunctionName=function)
        return configuration["Role"]

    def _one(self, kind):
        [logical_id] = [
            name
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == kind
        ]
        return logical_id

    def _upload_assets(self):
        """Upload the code and the template, and return the URL of the template."""
        s3 = self.aws.client("s3")
        manifest = json.loads((self.assembly / f"{self.name}.assets.json").read_text())
        account = self.aws.client("sts").get_caller_identity()["Account"]
        for asset in manifest["files"].values():
            [destination] = asset["destinations"].values()
            bucket = (
                destination["bucketName"]
                .replace("${AWS::AccountId}", account)
                .replace("${AWS::Region}", s3.meta.region_name)
            )
            s3.create_bucket(Bucket=bucket)
            path = self.assembly / asset["source"]["path"]
            if asset["source"]["packaging"] == "zip":
                body = Path(shutil.make_archive(str(path), "zip", path)).read_bytes()
            else:
                body = json.dumps(self.template).encode()
                url = f"{self.aws.endpoint}/{bucket}/{destination['objectKey']}"
            s3.put_object(Bucket=bucket, Key=destination["objectKey"], Body=body)
        return url

    def _deploy(self, template_url):
        # Every template of the CDK reads this parameter, which `cdk bootstrap` creates.
        self.aws.client("ssm").put_parameter(
            Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True
        )
        cloudformation = self.aws.client("cloudformation")
        cloudformation.create_stack(
            StackName=self.name,
            TemplateURL=template_url,
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
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in events
            if event["ResourceStatus"].endswith("FAILED")
        ]

    def _attach_validators(self):
        """Create and attach the request validators, which CloudFormation of ministack does not support."""
        gateway = self.aws.client("apigateway")
        resources = self.template["Resources"]
        validators = {}
        for logical_id, resource in resources.items():
            properties = resource["Properties"]
            if resource["Type"] == "AWS::ApiGateway::RequestValidator":
                validators[logical_id] = gateway.create_request_validator(
                    restApiId=self.api_id,
                    name=logical_id,
                    validateRequestBody=properties["ValidateRequestBody"],
                    validateRequestParameters=properties["ValidateRequestParameters"],
                )["id"]
        for resource in resources.values():
            properties = resource["Properties"]
            if resource["Type"] == "AWS::ApiGateway::Method":
                gateway.update_method(
                    restApiId=self.api_id,
                    resourceId=self._gateway_resource(properties["ResourceId"]),
                    httpMethod=properties["HttpMethod"],
                    patchOperations=[
                        {
                            "op": "replace",
                            "path": "/requestValidatorId",
                            "value": validators[properties["RequestValidatorId"]["Ref"]],
                        }
                    ],
                )

    def _gateway_resource(self, reference):
        if "Ref" in reference:
            return self.resources[reference["Ref"]]
        api = self.aws.client("apigateway").get_rest_api(restApiId=self.api_id)
        return api["rootResourceId"]


def _omit_unsupported(resources):
    """Remove unsupported parts from *resources* and yield their descriptions."""
    for name, resource in list(resources.items()):
        if resource["Type"] in UNSUPPORTED:
            del resources[name]
            yield f"{name} ({resource['Type']})"
        elif resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
            _simplify(resource["Properties"])
            yield f"{name}: all metrics of the sum except the first"


def _simplify(alarm):
    """Let *alarm* use only the first metric of its sum, so that references to it remain valid."""
    stat = next(metric["MetricStat"] for metric in alarm.pop("Metrics") if "MetricStat" in metric)
    metric = stat["Metric"]
    alarm |= {
        "Namespace": metric["Namespace"],
        "MetricName": metric["MetricName"],
        "Dimensions": metric.get("Dimensions", []),
        "Statistic": stat["Stat"],
        "Period": stat["Period"],
    }
