"""
Settings of an environment, and their defaults for each kind of environment.

No other module depends on the kind, which is ``dev``, ``preview`` or ``prod``. The CDK's context overrides single settings:
``cdk deploy -c environmentSuffix=prod -c allowedOrigins=https://shop.example.com -c waf=false``.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal

from attrs import evolve, field, frozen

from deploy.grants import NEEDS
from inventory_adapters.config import IndexProjection, TransportName

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
"""The retention periods, in days, that CloudWatch Logs supports."""

_SUFFIX: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
# Names that suggest real data. `prod` itself has a default kind.
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
_CLAIM: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_CAPACITY: Final = re.compile(r"[0-9]{1,5}-[0-9]{1,5}")
# A rollout counts log lines of requests, which have the level INFO. A higher log level would suppress them.
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_WATCHABLE_LEVELS: Final = ("DEBUG", "INFO")


class SettingsError(ValueError):
    """The settings are invalid; the message names the setting."""


@frozen(kw_only=True)
class Settings:
    """
    The settings of one environment.

    Attributes:
        kind: The kind of environment, which determines the defaults of the other settings.
        suffix: The name of the environment, part of every resource name: ``inventory-<suffix>``.
        allowed_origins: Origins whose pages may read responses; `*` for all.
        log_level: The level of our own loggers.
        log_retention_days: The retention period of logs; one of `LOG_RETENTION_DAYS`.
        log_key_arn: The KMS key that encrypts logs; None for the key of CloudWatch.
        data_trace: Whether the gateway logs whole requests and responses, including personal data.
        protected: Whether the stack and its tables are protected from deletion, and tables, key and logs are retained.
        auth: Who may call: anyone, holders of an API key, AWS principals, or users of a Cognito pool. An API key provides
            metering and basic access control; it does not authenticate the caller.
        user_pool_arn: The pool, if `auth` is `cognito`.
        actor_claim: The claim of a Cognito user that is recorded in the ledger; `email` is personal data, which stays there.
        monthly_requests: Requests that an API key may send in a calendar month; None for no limit.
        firewall: Whether a web ACL protects the API.
        requests_per_ip: The requests that one IP address may send in five minutes, with a web ACL.
        reserved_concurrency: Whether functions reserve concurrent executions, which are also their limit.
        concurrency: The reserved concurrency of single operations, which overrides `reserved_concurrency`; None for none.
        billing: The billing mode of the tables: per request, or for capacity that scales with the load.
        capacity: The minimum and maximum units of each table and index, if `billing` is `provisioned`.
        index_projection: Whether the indexes by category and status contain whole items, or only keys.
        new_tables: Whether this deployment creates, or has created, the tables, so that their indexes are as in the template.
        table_name: Name of the items table; None for ``inventory-<suffix>``.
        ledger_table_name: Name of the ledger table; None for the name of the items table with ``-ledger``.
        events: Whether what is written is also published as events on a bus of EventBridge.
        event_archive_days: How long the bus keeps events for a replay; None for no archive.
        customer_key: Whether a customer managed key encrypts the tables.
        transport: How the functions call AWS: `http` without an SDK, or `boto3` with the SDK of their runtime.
        python_version: The Python version of the functions; the bundle must be compiled for it.
        memory_mb: Memory of every function; None for the default of each function.
        canary: Whether a new version of a function first gets a tenth of the traffic, and is rolled back if it fails.
        gateway_log_role: Whether the stack sets the role with which API Gateway writes logs. There is one role per account
            and region: enable this in at most one stack, and only if no role is set.
        alarm_email: The e-mail address that receives alarms.
        alarm_topic_arn: An existing SNS topic that receives alarms, instead of one of the stack.
        domain_name: The custom domain of the API; None for the URL that API Gateway assigns.
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
    actor_claim: str = "sub"
    monthly_requests: int | None = 1_000_000
    firewall: bool
    requests_per_ip: int = 10_000
    reserved_concurrency: bool
    concurrency: Mapping[str, int | None] = field(factory=dict)
    billing: Billing = "on-demand"
    capacity: tuple[int, int] = (5, 100)
    index_projection: IndexProjection = "all"
    new_tables: bool = False
    table_name: str | None = None
    ledger_table_name: str | None = None
    events: bool = True
    event_archive_days: int | None = None
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
    allowed_origins=(),  # No default: the operator must set `allowedOrigins`.
    log_level="INFO",
    log_retention_days=30,
    data_trace=False,
    protected=True,
    auth="key",
    firewall=True,
    reserved_concurrency=True,
)
_KINDS: Final = {settings.kind: settings for settings in (_DEV, _PREVIEW, _PROD)}
_KIND_OF: Final[dict[str, str]] = {"dev": "dev", "prod": "prod"}
_KIND_NAMES: Final = "dev, preview or prod"


def settings_for(suffix: Any, context: Context) -> Settings:
    """
    Return the settings of the environment called *suffix*.

    Args:
        suffix: The name of the environment.
        context: Returns the value of a key of the CDK's context, or None.

    Raises:
        SettingsError: The name or a setting is invalid, or a setting without a default is missing.
    """
    if not isinstance(suffix, str) or not _SUFFIX.fullmatch(suffix):
        raise SettingsError(
            f"environmentSuffix must be a lower-case letter followed by up to 19 lower-case letters, digits or hyphens,"
            f" not {suffix!r}"
        )
    values = {key: value for key in _OVERRIDES if (value := context(key)) is not None}
    overrides = dict(_parse(key, value) for key, value in values.items())
    settings = evolve(_defaults(suffix, context("kind")), suffix=suffix, **overrides)
    _check(settings)
    return settings


def require_known(keys: Iterable[str]) -> None:
    """
    Reject unknown settings.

    Settings are plain words. Context keys of the CDK and its plugins contain punctuation (``@aws-cdk/...``, ``aws:cdk:...``,
    ``acknowledged-issue-numbers``).

    Raises:
        SettingsError: A key is not the name of a setting; the message suggests a similar name.
    """
    known = (*_OF_THE_APP, *_OVERRIDES)
    for key in keys:
        if key.isalnum() and key not in known:
            folded = {name.lower(): name for name in known}
            similar = [folded[name] for name in get_close_matches(key.lower(), folded, n=1)]
            hint = f"did you mean {similar[0]}" if similar else "docs/deploy.md lists them"
            raise SettingsError(f"{key} is not a setting: {hint}")


def _defaults(suffix: str, kind: Any) -> Settings:
    if kind is None:
        kind = _KIND_OF.get(suffix)
    if kind is None and _PRODUCTION_LIKE.fullmatch(suffix):
        raise SettingsError(
            f"{suffix} may hold real data, so its kind must be given: -c kind={_KIND_NAMES}"
        )
    if kind is None:
        return _PREVIEW
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SettingsError(f"kind must be {_KIND_NAMES}, not {kind!r}")
    return _KINDS[kind]


def _check(settings: Settings) -> None:
    """Reject combinations of settings that are invalid."""
    if not settings.allowed_origins:
        raise SettingsError(
            f"allowedOrigins must name the origins whose pages may call {settings.suffix}, such as https://shop.example.com"
        )
    if settings.auth == "cognito" and settings.user_pool_arn is None:
        raise SettingsError("userPoolArn must name the user pool if auth is cognito")
    if settings.canary and settings.log_level not in _WATCHABLE_LEVELS:
        raise SettingsError(
            f"logLevel must be {' or '.join(_WATCHABLE_LEVELS)} if canary is true, not {settings.log_level!r},"
            f" because a rollout counts the log lines of requests"
        )
    if settings.alarm_email and settings.alarm_topic_arn:
        raise SettingsError(
            "alarmEmail and alarmTopic must not both be given. Subscribe the address to the topic instead."
        )
    if settings.event_archive_days is not None and not settings.events:
        raise SettingsError("eventArchive needs events=true")
    if (settings.domain_name is None) != (settings.certificate_arn is None):
        raise SettingsError("domainName and certificateArn must be given together")
    if settings.index_projection == "keys" and not settings.new_tables:
        raise SettingsError(
            "indexProjection=keys needs newTables=true, because DynamoDB cannot change an existing index: the deployment of a"
            " table that was created with all attributes would fail. Add -c newTables=true if the stack creates the tables."
        )
    if settings.items_table == settings.ledger_table:
        raise SettingsError("ledgerTableName must not be the name of the items table")
    if not _TABLE_NAME.fullmatch(settings.ledger_table):
        raise SettingsError(
            "ledgerTableName must be given because tableName is too long to append -ledger"
        )


def _parse(key: str, value: Any) -> tuple[str, Any]:
    name, parse, expected = _OVERRIDES[key]
    try:
        return name, parse(value)
    except (KeyError, ValueError):
        raise SettingsError(f"{key} must be {expected}, not {value!r}") from None


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
    # The command line passes every value as text.
    return {"true": True, "false": False}[str(value).lower()]


def _integer(value: Any, minimum: int, maximum: int) -> int:
    number = int(_matching(_DIGITS, str(value)))
    if not minimum <= number <= maximum:
        raise ValueError(value)
    return number


def _between(minimum: int, maximum: int) -> Callable[[Any], int]:
    return lambda value: _integer(value, minimum, maximum)


def _retention(value: Any) -> int:
    return {str(days): days for days in LOG_RETENTION_DAYS}[str(value)]


def _monthly_requests(value: Any) -> int | None:
    return None if value == "none" else _integer(value, 1, _MAX_MONTHLY_REQUESTS)


def _capacity(value: Any) -> tuple[int, int]:
    minimum, maximum = map(int, _matching(_CAPACITY, value).split("-"))
    if not 1 <= minimum <= maximum <= _MAX_CAPACITY:
        raise ValueError(value)
    return minimum, maximum


def _concurrency(value: Any) -> dict[str, int | None]:
    """Parse ``create-item=20,get-item=none``, or a JSON object with the same content."""
    if isinstance(value, dict):
        pairs = list(value.items())
    else:
        pairs = [part.strip().partition("=")[::2] for part in str(value).split(",")]
    operations = {name.replace("_", "-"): name for name in NEEDS}
    return {
        operations[name]: None
        if executions == "none"
        else _integer(executions, 1, _MAX_CONCURRENCY)
        for name, executions in pairs
    }


# Source: "Configure Lambda function memory".
_MIN_MEMORY_MB: Final = 128
_MAX_MEMORY_MB: Final = 10240
# Source: "Rate-based rule high-level settings" of AWS WAF.
_MIN_REQUESTS_PER_IP: Final = 10
_MAX_REQUESTS_PER_IP: Final = 2_000_000_000
# Source: "QuotaSettings" of API Gateway: a 32-bit integer.
_MAX_MONTHLY_REQUESTS: Final = 2_147_483_647
# Source: "Service, account, and table quotas in Amazon DynamoDB": the default for one table.
_MAX_CAPACITY: Final = 40_000
# An upper bound against typos.
_MAX_ARCHIVE_DAYS: Final = 36_500
# An upper bound against typos. `deploy.preflight` checks the quota of the account.
_MAX_CONCURRENCY: Final = 100_000
_SWITCH: Final = "true or false"

# Context keys that are not overrides of `Settings`; read in this module or in app.py.
_OF_THE_APP: Final = ("environmentSuffix", "kind", "bundle", "stubBundle")
# For each context key: the attribute of `Settings` that it overrides, its parser, and the valid values for error messages.
_OVERRIDES: Final[dict[str, tuple[str, Callable[[Any], Any], str]]] = {
    "allowedOrigins": (
        "allowed_origins",
        _origins,
        "origins such as https://shop.example.com, without a path and comma-separated, or *",
    ),
    "auth": ("auth", _one_of("none", "key", "iam", "cognito"), "none, key, iam or cognito"),
    "userPoolArn": ("user_pool_arn", _text(_USER_POOL), "the ARN of a Cognito user pool"),
    "actorClaim": (
        "actor_claim",
        _text(_CLAIM),
        "the name of a claim, such as sub, email or cognito:username",
    ),
    "monthlyRequests": (
        "monthly_requests",
        _monthly_requests,
        f"1 to {_MAX_MONTHLY_REQUESTS} requests, or none",
    ),
    "protected": ("protected", _switch, _SWITCH),
    "dataTrace": ("data_trace", _switch, _SWITCH),
    "logLevel": ("log_level", _one_of(*_LEVELS), f"one of {', '.join(_LEVELS)}"),
    "logRetention": (
        "log_retention_days",
        _retention,
        f"a number of days that CloudWatch Logs supports ({', '.join(map(str, LOG_RETENTION_DAYS))})",
    ),
    "logKey": ("log_key_arn", _text(_KEY), "the ARN of a KMS key"),
    "billing": ("billing", _one_of("on-demand", "provisioned"), "on-demand or provisioned"),
    "capacity": (
        "capacity",
        _capacity,
        f"the minimum and maximum units, such as 5-100, from 1 to {_MAX_CAPACITY}",
    ),
    "indexProjection": ("index_projection", _one_of("all", "keys"), "all or keys"),
    "newTables": ("new_tables", _switch, _SWITCH),
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
    "events": ("events", _switch, _SWITCH),
    "eventArchive": (
        "event_archive_days",
        _between(1, _MAX_ARCHIVE_DAYS),
        f"1 to {_MAX_ARCHIVE_DAYS} days",
    ),
    "cmk": ("customer_key", _switch, _SWITCH),
    "runtime": ("python_version", _python, "3.11 to 3.14"),
    "memory": (
        "memory_mb",
        _between(_MIN_MEMORY_MB, _MAX_MEMORY_MB),
        f"{_MIN_MEMORY_MB} to {_MAX_MEMORY_MB} megabytes",
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
        "operations, each with a number of executions or none, such as create-item=20,get-item=none",
    ),
    "waf": ("firewall", _switch, _SWITCH),
    "requestsPerIp": (
        "requests_per_ip",
        _between(_MIN_REQUESTS_PER_IP, _MAX_REQUESTS_PER_IP),
        f"{_MIN_REQUESTS_PER_IP} to {_MAX_REQUESTS_PER_IP} requests",
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
