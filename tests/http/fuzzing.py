"""
Findings of schemathesis that are not failures, because a schema cannot express the rule.

schemathesis loads this file itself.
"""

import json
import re

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

from inventory.preconditions import IF_MATCH

# Valid requests may be refused with these: they are about the state, another request, or two fields together.
BEYOND_A_SCHEMA = {
    "duplicate_row",
    "idempotency_key_required",
    "idempotency_key_reused",
    "invalid_page_token",
    "precondition_failed",
    "same_item",
    "sku_mismatch",
}

# A schema counts decimal places in binary, and characters rather than bytes; it sees each parameter alone.
MEASURED_OTHERWISE = re.compile(
    r"must have at most \d decimal places|must be 1 to \d+ bytes long in UTF-8, not \d+"
    r"|is another name of last_evaluated_key, which has another value|is required with (item_id|sku)"
)
NOT_WHOLE = "must be a whole number from"


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Return whether a finding is a failure."""
    if isinstance(failure, RejectedPositiveData):
        refusal = json.loads(response.content)
        return not (has_another_if_match(case) or is_beyond_a_schema(refusal, case.body))
    if isinstance(failure, AcceptedNegativeData):
        return not answers_row_by_row(case)
    return True


def has_another_if_match(case):
    """Return whether the header does not match its pattern: the coverage phase sends `0` as valid."""
    sent = (case.headers or {}).get("If-Match", "*")
    return not re.search(IF_MATCH.schema()["pattern"], sent)


def is_beyond_a_schema(refusal, body):
    if refusal["code"] != "validation_failed":
        return refusal["code"] in BEYOND_A_SCHEMA
    return all(
        MEASURED_OTHERWISE.fullmatch(fault["message"])
        or (fault["message"].startswith(NOT_WHOLE) and is_a_float(body, fault["field"]))
        for fault in refusal["details"]
    )


def is_a_float(body, field):
    """Return whether the number at *field*, such as `lines[0].quantity`, is `5.0`: an integer only in JSON Schema."""
    for part in re.findall(r"[^.\[\]]+", field):
        body = body[int(part) if isinstance(body, list) else part]
    return isinstance(body, float)


def answers_row_by_row(case):
    """Return whether a rejected row is part of a success response."""
    return (
        case.operation.definition.raw["operationId"] == "batch_items"
        and isinstance(case.body, dict)
        and case.body.get("mode") == "per_row"
    )
