"""
What schemathesis would call a failure, and is none: rules that a schema has no words for.

It loads this file itself.
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
    "idempotency_key_reused",
    "invalid_page_token",
    "precondition_failed",
    "same_item",
    "sku_mismatch",
}

# A schema counts decimal places in binary, and characters rather than bytes; it sees each parameter alone.
MEASURED_OTHERWISE = re.compile(
    r"must have at most \d decimal places|must be 1 to \d+ bytes long in UTF-8, not \d+"
    r"|is another name of last_evaluated_key, which has another value"
)
NOT_WHOLE = "must be a whole number from"


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Keep what is a failure."""
    if isinstance(failure, RejectedPositiveData):
        refusal = json.loads(response.content)
        return not (has_another_if_match(case) or is_beyond_a_schema(refusal, case.body))
    if isinstance(failure, AcceptedNegativeData):
        return not answers_row_by_row(case)
    return True


def has_another_if_match(case):
    """Whether the header is not what its pattern says: the coverage phase sends `0` and calls that valid."""
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
    """Whether the number at a place such as `lines[0].quantity` is written as `5.0`: JSON Schema's integer, not ours."""
    for part in re.findall(r"[^.\[\]]+", field):
        body = body[int(part) if isinstance(body, list) else part]
    return isinstance(body, float)


def answers_row_by_row(case):
    """Whether a row that is refused is a part of a successful answer."""
    return (
        case.operation.definition.raw["operationId"] == "batch_items"
        and isinstance(case.body, dict)
        and case.body.get("mode") == "per_row"
    )
