"""How a finding of cdk-nag is answered where it is found: by its id, with a reason, on the one construct that has it."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

__all__ = ["acknowledge"]


def acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    """Answer *finding* of *construct*: *reason* says why it is meant to be so."""
    Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))
