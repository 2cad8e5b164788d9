"""Acknowledgements of cdk-nag findings: by id, with a reason, on one construct."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

__all__ = ["acknowledge"]


def acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    """Acknowledge *finding* on *construct*; *reason* explains why it is intended."""
    Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))
