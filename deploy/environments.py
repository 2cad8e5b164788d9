"""
Settings of an environment, and the values that each kind of environment has: the one file that asks which kind it is.

An environment is of the kind ``dev``, ``preview`` or ``prod``. The CDK's context overrides single settings:
``cdk deploy -c environmentSuffix=prod -c allowedOrigins=https://shop.example.com -c waf=false``.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal

from attrs import evolve, field, frozen

from deploy.grants import NEEDS
from inventory_adapters.config import TransportName

__all__ = [
    "LOG_RETENTION_DAYS",
    "Auth",
    "Billing",
    "Kind",
    "Settings",
    "SettingsError",
    "require_known",
    "settings_for",
]

Kind = Literal["dev", "preview", "prod"]
Auth = Literal["none", "key", "iam", "cognito"]
Billing = Literal["on-demand", "provisioned"]
Context = Callable[[str], Any]

# Source: "PutRetentionPolicy" of CloudWatch Logs.
LOG_RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""The numbers of days that CloudWatch Logs can keep a log."""

_SUFFIX: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
# Names that people give to environments with real data. `prod` itself has a kind already.
_PRODUCTION_LIKE: Final = re.compile(r"(prod|production|live|staging)([-0-9].*)?")
_ORIGIN: Final = re.compile(r"\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_PYTHON: Final = re.compile(r"(?:python)?(3\.1[1-4])")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_DOMAIN: Final = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_TABLE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_USER_POOL: Final = re.compile(r"arn:[\w-]+:cognito-idp:[\w-]+:[0-9]{12}:userpool/[\w-]+")
_TOPIC: Final = re.compile(r"arn:[\w-]+:sns:[\w-]+:[0-9]{12}:[\w-]{1,256}")
_UUID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEY: Final = re.compile(rf"arn:[\w-]+:kms:[\w-]+:[0-9]{{12}}:key/(mrk-[0-9a-f]{{32}}|{_UUID})")
_CERTIFICATE: Final = re.compile(r"arn:[\w-]+:acm:[\w-]+:[0-9]{12}:certificate/" + _UUID)
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_CAPACITY: Final = re.compile(r"[0-9]{1,5}-[0-9]{1,5}")
# An access log line of INFO is what a rollout watches: no level above it writes one.
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_WATCHABLE_LEVELS: Final = ("DEBUG", "INFO")


class SettingsError(ValueError):
    """The settings are invalid; the message is one sentence for the person who wrote them."""


@frozen(kw_only=True)
class Settings:
    """
    One environment.

    Attributes:
        kind: The kind of environment, which the defaults of the others follow from.
        suffix: Ends or is part of every name: ``inventory-<suffix>``.
        allowed_origins: Origins whose pages may read the answers; `*` for all.
        log_level: Of our own loggers.
        log_retention_days: How long logs are kept; one of `LOG_RETENTION_DAYS`.
        log_key_arn: The KMS key that logs are encrypted with; None for CloudWatch's own.
        data_trace: Whether the gateway logs whole requests and answers, with what is personal in them.
        protected: Whether the tables, their key and the logs outlive the stack, and nothing of it is deleted by one call.
        auth: Who may call: anyone, holders of an API key, AWS principals, or users of a Cognito pool. An API key meters
            clients and provides basic access control; it does not prove who calls.
        user_pool_arn: The pool, where `auth` is `cognito`.
        monthly_requests: Requests that an API key may send in a calendar month; None for no limit.
        firewall: Whether a web ACL stands before the API.
        requests_per_ip: What the web ACL lets one address send in five minutes.
        reserved_concurrency: Whether functions reserve their share of the account's concurrent executions, and have no more.
        concurrency: The reserved concurrency of single operations, whatever `reserved_concurrency` says; None for none.
        billing: How the tables are paid: per request, or for capacity that follows the load.
        capacity: The least and the most units of each table and index, where `billing` is `provisioned`.
        table_name: Of the items table; None for ``inventory-<suffix>``.
        ledger_table_name: Of the ledger table; None for the name of the items table and ``-ledger``.
        customer_key: Whether the tables are encrypted with a key of the account's own.
        transport: How the functions call AWS: `http`, without an SDK, or `boto3`, with the one of their runtime.
        python_version: What the functions run on; the bundle is compiled for it.
        memory_mb: For every function; None for what each of them needs.
        canary: Whether a new version of a function gets a tenth of the traffic first, and goes back if it fails.
        gateway_log_role: Whether the stack gives API Gateway the role to write logs with. There is one per account and region:
            turn it on in one stack at most, and only where there is none.
        alarm_email: The address that alarms are sent to.
        alarm_topic_arn: An existing SNS topic that alarms are published to, in the place of one of the stack's own.
        domain_name: The API's own domain; None for the address that API Gateway makes.
        certificate_arn: The certificate of `domain_name`, in the region of the stack.
    """

    kind: Kind
    suffix: str = ""
    allowed_origins: tuple[str, ...]
    log_level: str
    log_retention_days: int
    log_key_arn: str | None = None
    data_trace: bool
    protected: bool
    auth: Auth
    user_pool_arn: str | None = None
    monthly_requests: int | None = 1_000_000
    firewall: bool
    requests_per_ip: int = 10_000
    reserved_concurrency: bool
    concurrency: Mapping[str, int | None] = field(factory=dict)
    billing: Billing = "on-demand"
    capacity: tuple[int, int] = (5, 100)
    table_name: str | None = None
    ledger_table_name: str | None = None
    customer_key: bool = False
    transport: TransportName = "http"
    python_version: str = "3.11"
    memory_mb: int | None = None
    canary: bool = False
    gateway_log_role: bool = False
    alarm_email: str | None = None
    alarm_topic_arn: str | None = None
    domain_name: str | None = None
    certificate_arn: str | None = None

    @property
    def items_table(self) -> str:
        """The name of the items table."""
        return self.table_name or f"inventory-{self.suffix}"

    @property
    def ledger_table(self) -> str:
        """The name of the ledger table."""
        return self.ledger_table_name or f"{self.items_table}-ledger"


_DEV: Final = Settings(
    kind="dev",
    allowed_origins=("*",),
    log_level="DEBUG",
    log_retention_days=7,
    data_trace=True,
    protected=False,
    auth="none",
    firewall=False,
    reserved_concurrency=False,
)
_PREVIEW: Final = evolve(_DEV, kind="preview", log_retention_days=30)
_PROD: Final = Settings(
    kind="prod",
    allowed_origins=(),  # Only the operator knows them: see `allowedOrigins`.
    log_level="INFO",
    log_retention_days=30,
    data_trace=False,
    protected=True,
    auth="key",
    firewall=True,
    reserved_concurrency=True,
)
_KINDS: Final = {it.kind: it for it in (_DEV, _PREVIEW, _PROD)}
_KIND_OF: Final[dict[str, str]] = {"dev": "dev", "prod": "prod"}
_KIND_NAMES: Final = "dev, preview or prod"


def settings_for(suffix: Any, context: Context) -> Settings:
    """
    Return the settings of the environment called *suffix*.

    Args:
        suffix: Its name.
        context: Returns the value that the CDK's context has under a key, or None.

    Raises:
        SettingsError: The name or a setting is invalid, or a setting that has no default is missing.
    """
    if not isinstance(suffix, str) or not _SUFFIX.fullmatch(suffix):
        raise SettingsError(
            f"environmentSuffix must be a lower-case letter and then up to 19 lower-case letters, digits or hyphens,"
            f" not {suffix!r}."
        )
    given = {key: value for key in _OVERRIDES if (value := context(key)) is not None}
    overrides = dict(_read(key, value) for key, value in given.items())
    settings = evolve(_defaults(suffix, context("kind")), suffix=suffix, **overrides)
    _check(settings)
    return settings


def require_known(keys: Iterable[str]) -> None:
    """
    Reject a context key that looks like a setting but is none.

    Keys of the CDK and its plugins contain punctuation (``@aws-cdk/...``, ``aws:cdk:...``, ``acknowledged-issue-numbers``);
    settings are plain words.

    Raises:
        SettingsError: A key is not the name of a setting; the message suggests a similar name.
    """
    known = (*_OF_THE_APP, *_OVERRIDES)
    for key in keys:
        if key.isalnum() and key not in known:
            folded = {name.lower(): name for name in known}
            similar = [folded[it] for it in get_close_matches(key.lower(), folded, n=1)]
            hint = f"did you mean {similar[0]}" if similar else "docs/deploy.md lists them"
            raise SettingsError(f"{key} is not a setting: {hint}.")


def _defaults(suffix: str, kind: Any) -> Settings:
    if kind is None:
        kind = _KIND_OF.get(suffix)
    if kind is None and _PRODUCTION_LIKE.fullmatch(suffix):
        raise SettingsError(
            f"{suffix} may hold real data, so its kind must be given: -c kind= with {_KIND_NAMES}."
        )
    if kind is None:
        return _PREVIEW
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SettingsError(f"kind must be {_KIND_NAMES}, not {kind!r}.")
    return _KINDS[kind]


def _check(settings: Settings) -> None:
    """Reject settings that are each valid, but not together."""
    if not settings.allowed_origins:
        raise SettingsError(
            f"allowedOrigins must name the origins whose pages may call {settings.suffix}, such as https://shop.example.com."
        )
    if settings.auth == "cognito" and settings.user_pool_arn is None:
        raise SettingsError("userPoolArn must name the user pool when auth is cognito.")
    if settings.canary and settings.log_level not in _WATCHABLE_LEVELS:
        raise SettingsError(
            f"logLevel must be {' or '.join(_WATCHABLE_LEVELS)} when canary is true, not {settings.log_level!r}:"
            f" a rollout is judged by the log lines of requests."
        )
    if settings.alarm_email and settings.alarm_topic_arn:
        raise SettingsError(
            "alarmEmail and alarmTopic must not both be given: subscribe the address to the topic."
        )
    if (settings.domain_name is None) != (settings.certificate_arn is None):
        raise SettingsError("domainName and certificateArn must be given together.")
    if settings.items_table == settings.ledger_table:
        raise SettingsError("ledgerTableName must not be the name of the items table.")
    if not _TABLE_NAME.fullmatch(settings.ledger_table):
        raise SettingsError("ledgerTableName must be given where tableName is that long.")


def _read(key: str, value: Any) -> tuple[str, Any]:
    name, read, expected = _OVERRIDES[key]
    try:
        return name, read(value)
    except (KeyError, ValueError):
        raise SettingsError(f"{key} must be {expected}, not {value!r}.") from None


def _origins(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else str(value).split(",")
    return tuple(_matching(_ORIGIN, str(origin).strip()) for origin in listed)


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(value)
    return value


def _text(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    return lambda value: _matching(pattern, value)


def _python(value: Any) -> str:
    return _matching(_PYTHON, value).removeprefix("python")


def _one_of(*words: str) -> Callable[[Any], str]:
    return lambda value: {word: word for word in words}[str(value)]


def _switch(value: Any) -> bool:
    # The command line sends every value as text.
    return {"true": True, "false": False}[str(value).lower()]


def _whole(value: Any, least: int, most: int) -> int:
    number = int(_matching(_DIGITS, str(value)))
    if not least <= number <= most:
        raise ValueError(value)
    return number


def _integer(least: int, most: int) -> Callable[[Any], int]:
    return lambda value: _whole(value, least, most)


def _retention(value: Any) -> int:
    return {str(days): days for days in LOG_RETENTION_DAYS}[str(value)]


def _monthly_requests(value: Any) -> int | None:
    return None if value == "none" else _whole(value, 1, _MOST_MONTHLY_REQUESTS)


def _capacity(value: Any) -> tuple[int, int]:
    least, most = map(int, _matching(_CAPACITY, value).split("-"))
    if not 1 <= least <= most <= _MOST_CAPACITY:
        raise ValueError(value)
    return least, most


def _concurrency(value: Any) -> dict[str, int | None]:
    """Read ``create-item=20,get-item=none``, or the same as a JSON object."""
    if isinstance(value, dict):
        pairs = list(value.items())
    else:
        pairs = [part.strip().partition("=")[::2] for part in str(value).split(",")]
    operations = {name.replace("_", "-"): name for name in NEEDS}
    return {
        operations[name]: None if executions == "none" else _whole(executions, 1, _MOST_CONCURRENCY)
        for name, executions in pairs
    }


# Source: "Configure Lambda function memory".
_LEAST_MEMORY_MB: Final = 128
_MOST_MEMORY_MB: Final = 10240
# Source: "Rate-based rule high-level settings" of AWS WAF.
_LEAST_REQUESTS_PER_IP: Final = 10
_MOST_REQUESTS_PER_IP: Final = 2_000_000_000
# Source: "QuotaSettings" of API Gateway: a 32-bit integer.
_MOST_MONTHLY_REQUESTS: Final = 2_147_483_647
# Source: "Service, account, and table quotas in Amazon DynamoDB": the default for one table.
_MOST_CAPACITY: Final = 40_000
# More than an account has unless it asks for it: whether it has them is for `deploy.preflight`.
_MOST_CONCURRENCY: Final = 100_000
_SWITCH: Final = "true or false"

# What the context may hold beside the overrides of `Settings`: read here or in app.py.
_OF_THE_APP: Final = ("environmentSuffix", "kind", "bundle", "stubBundle")
# The context's name of a setting: the attribute that it overrides, how it is read, and what it must be, for people.
_OVERRIDES: Final[dict[str, tuple[str, Callable[[Any], Any], str]]] = {
    "allowedOrigins": (
        "allowed_origins",
        _origins,
        "origins such as https://shop.example.com, without a path and comma-separated, or *",
    ),
    "auth": ("auth", _one_of("none", "key", "iam", "cognito"), "none, key, iam or cognito"),
    "userPoolArn": ("user_pool_arn", _text(_USER_POOL), "the ARN of a Cognito user pool"),
    "monthlyRequests": (
        "monthly_requests",
        _monthly_requests,
        f"1 to {_MOST_MONTHLY_REQUESTS} requests, or none",
    ),
    "protected": ("protected", _switch, _SWITCH),
    "dataTrace": ("data_trace", _switch, _SWITCH),
    "logLevel": ("log_level", _one_of(*_LEVELS), f"one of {', '.join(_LEVELS)}"),
    "logRetention": (
        "log_retention_days",
        _retention,
        f"a number of days that CloudWatch Logs knows ({', '.join(map(str, LOG_RETENTION_DAYS))})",
    ),
    "logKey": ("log_key_arn", _text(_KEY), "the ARN of a KMS key"),
    "billing": ("billing", _one_of("on-demand", "provisioned"), "on-demand or provisioned"),
    "capacity": (
        "capacity",
        _capacity,
        f"the least and the most units, such as 5-100, from 1 to {_MOST_CAPACITY}",
    ),
    "tableName": (
        "table_name",
        _text(_TABLE_NAME),
        "the name of a table: 3 to 255 letters, digits, dots, hyphens or underscores",
    ),
    "ledgerTableName": (
        "ledger_table_name",
        _text(_TABLE_NAME),
        "the name of a table: 3 to 255 letters, digits, dots, hyphens or underscores",
    ),
    "cmk": ("customer_key", _switch, _SWITCH),
    "runtime": ("python_version", _python, "3.11 to 3.14"),
    "memory": (
        "memory_mb",
        _integer(_LEAST_MEMORY_MB, _MOST_MEMORY_MB),
        f"{_LEAST_MEMORY_MB} to {_MOST_MEMORY_MB} megabytes",
    ),
    "transport": ("transport", _one_of("http", "boto3"), "http or boto3"),
    "reservedConcurrency": (
        "reserved_concurrency",
        lambda value: {"none": False, "default": True}[str(value)],
        "none or default",
    ),
    "concurrency": (
        "concurrency",
        _concurrency,
        "operations with 1 or more executions or none, such as create-item=20,get-item=none",
    ),
    "waf": ("firewall", _switch, _SWITCH),
    "requestsPerIp": (
        "requests_per_ip",
        _integer(_LEAST_REQUESTS_PER_IP, _MOST_REQUESTS_PER_IP),
        f"{_LEAST_REQUESTS_PER_IP} to {_MOST_REQUESTS_PER_IP} requests",
    ),
    "canary": ("canary", _switch, _SWITCH),
    "gatewayLogRole": ("gateway_log_role", _switch, _SWITCH),
    "alarmEmail": ("alarm_email", _text(_EMAIL), "an e-mail address"),
    "alarmTopic": ("alarm_topic_arn", _text(_TOPIC), "the ARN of an SNS topic"),
    "domainName": (
        "domain_name",
        _text(_DOMAIN),
        "a domain in lower case, such as stock.example.com",
    ),
    "certificateArn": ("certificate_arn", _text(_CERTIFICATE), "the ARN of an ACM certificate"),
}
