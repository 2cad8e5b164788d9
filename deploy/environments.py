"""
What differs between environments, as values: the one file that asks which environment it is.

`dev` and `prod` have values of their own; any other suffix is a preview, such as a branch has. The CDK's context can override
some of them: ``cdk deploy -c environmentSuffix=prod -c allowedOrigins=https://shop.example.com -c waf=false``.
"""

import re
from collections.abc import Callable
from typing import Any, Final, Literal

from attrs import evolve, frozen

__all__ = ["Auth", "Billing", "Settings", "SettingsError", "settings_for"]

Auth = Literal["none", "key", "iam", "cognito"]
Billing = Literal["on-demand", "provisioned"]
Context = Callable[[str], Any]

_SUFFIX: Final = re.compile(r"[a-z][a-z0-9-]{0,19}")
_ORIGIN: Final = re.compile(r"\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
_PYTHON: Final = re.compile(r"(?:python)?(3\.1[1-4])")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_USER_POOL: Final = re.compile(r"arn:[\w-]+:cognito-idp:[\w-]+:[0-9]{12}:userpool/[\w-]+")
# Source: "Configure Lambda function memory".
_LEAST_MEMORY_MB: Final = 128
_MOST_MEMORY_MB: Final = 10240
# Source: "Rate-based rule high-level settings" of AWS WAF.
_LEAST_REQUESTS_PER_IP: Final = 10
_MOST_REQUESTS_PER_IP: Final = 2_000_000_000


class SettingsError(ValueError):
    """An environment cannot be as it was asked for; the message is one sentence for the person who asked."""


@frozen(kw_only=True)
class Settings:
    """
    One environment.

    Attributes:
        suffix: Ends or is part of every name: ``inventory-<suffix>``.
        allowed_origins: Origins whose pages may read the answers; `*` for all.
        log_level: Of our own loggers.
        log_retention_days: How long logs are kept.
        data_trace: Whether the gateway logs whole requests and answers, with what is personal in them.
        protected: Whether the tables, their key and the logs outlive the stack, and nothing of it is deleted by one call.
        auth: Who may call: anyone, holders of an API key, AWS principals, or users of a Cognito pool. An API key meters
            clients and turns strangers away; it does not prove who calls.
        user_pool_arn: The pool, where `auth` is `cognito`.
        firewall: Whether a web ACL stands before the API.
        requests_per_ip: What the web ACL lets one address send in five minutes.
        reserved_concurrency: Whether functions reserve their share of the account's concurrent executions, and have no more.
        billing: How the tables are paid: per request, or for capacity that follows the load.
        customer_key: Whether the tables are encrypted with a key of the account's own.
        python_version: What the functions run on; the bundle is compiled for it.
        memory_mb: For every function; None for what each of them needs.
        canary: Whether a new version of a function gets a tenth of the traffic first, and goes back if it fails.
        gateway_log_role: Whether the stack gives API Gateway the role to write logs with. There is one per account and region:
            turn it on in one stack at most, and only where there is none.
        alarm_email: Who is told of alarms.
    """

    suffix: str = ""
    allowed_origins: tuple[str, ...]
    log_level: str
    log_retention_days: int
    data_trace: bool
    protected: bool
    auth: Auth
    firewall: bool
    reserved_concurrency: bool
    user_pool_arn: str | None = None
    requests_per_ip: int = 10_000
    billing: Billing = "on-demand"
    customer_key: bool = False
    python_version: str = "3.11"
    memory_mb: int | None = None
    canary: bool = False
    gateway_log_role: bool = False
    alarm_email: str | None = None


_DEV: Final = Settings(
    allowed_origins=("*",),
    log_level="DEBUG",
    log_retention_days=7,
    data_trace=True,
    protected=False,
    auth="none",
    firewall=False,
    reserved_concurrency=False,
)
_PREVIEW: Final = evolve(_DEV, log_retention_days=30)
_PROD: Final = Settings(
    allowed_origins=(),  # Nobody but the operator knows them: see `allowedOrigins`.
    log_level="INFO",
    log_retention_days=30,
    data_trace=False,
    protected=True,
    auth="key",
    firewall=True,
    reserved_concurrency=True,
)
_ENVIRONMENTS: Final = {"dev": _DEV, "prod": _PROD}


def settings_for(suffix: Any, context: Context) -> Settings:
    """
    Return the settings of the environment called *suffix*.

    Args:
        suffix: Its name.
        context: Returns what the CDK's context says under a key, or None.

    Raises:
        SettingsError: The name or an override is none, or a setting that has no default is missing.
    """
    if not isinstance(suffix, str) or not _SUFFIX.fullmatch(suffix):
        raise SettingsError(
            f"environmentSuffix must be a lower-case letter and then up to 19 lower-case letters, digits or hyphens,"
            f" not {suffix!r}."
        )
    said = {key: value for key in _OVERRIDES if (value := context(key)) is not None}
    overrides = dict(_read(key, value) for key, value in said.items())
    settings = evolve(_ENVIRONMENTS.get(suffix, _PREVIEW), suffix=suffix, **overrides)
    if not settings.allowed_origins:
        raise SettingsError(
            f"allowedOrigins must name the origins whose pages may call {suffix}, such as https://shop.example.com."
        )
    if settings.auth == "cognito" and settings.user_pool_arn is None:
        raise SettingsError("userPoolArn must name the user pool when auth is cognito.")
    return settings


def _read(key: str, value: Any) -> tuple[str, Any]:
    name, read, wanted = _OVERRIDES[key]
    try:
        return name, read(value)
    except (KeyError, ValueError):
        raise SettingsError(f"{key} must be {wanted}, not {value!r}.") from None


def _origins(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else str(value).split(",")
    return tuple(_matching(_ORIGIN, str(origin).strip()) for origin in listed)


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    match = pattern.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(value)
    return match[match.lastindex or 0] if pattern is _PYTHON else value


def _one_of(*words: str) -> Callable[[Any], str]:
    return lambda value: {word: word for word in words}[str(value)]


def _switch(value: Any) -> bool:
    # The command line sends every value as text.
    return {"true": True, "false": False}[str(value).lower()]


def _memory(value: Any) -> int:
    megabytes = int(str(value))
    if not _LEAST_MEMORY_MB <= megabytes <= _MOST_MEMORY_MB:
        raise ValueError(value)
    return megabytes


def _requests_per_ip(value: Any) -> int:
    requests = int(str(value))
    if not _LEAST_REQUESTS_PER_IP <= requests <= _MOST_REQUESTS_PER_IP:
        raise ValueError(value)
    return requests


_SWITCH: Final = "true or false"
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

# What the context may say: the setting it overrides, how it is read, and what it must be, for people.
_OVERRIDES: Final[dict[str, tuple[str, Callable[[Any], Any], str]]] = {
    "allowedOrigins": (
        "allowed_origins",
        _origins,
        "origins such as https://shop.example.com, without a path and parted by commas, or *",
    ),
    "auth": ("auth", _one_of("none", "key", "iam", "cognito"), "none, key, iam or cognito"),
    "userPoolArn": (
        "user_pool_arn",
        lambda value: _matching(_USER_POOL, value),
        "the ARN of a Cognito user pool",
    ),
    "logLevel": ("log_level", _one_of(*_LEVELS), f"one of {', '.join(_LEVELS)}"),
    "billing": ("billing", _one_of("on-demand", "provisioned"), "on-demand or provisioned"),
    "runtime": ("python_version", lambda value: _matching(_PYTHON, value), "3.11 to 3.14"),
    "memory": ("memory_mb", _memory, f"{_LEAST_MEMORY_MB} to {_MOST_MEMORY_MB} megabytes"),
    "waf": ("firewall", _switch, _SWITCH),
    "requestsPerIp": ("requests_per_ip", _requests_per_ip, f"{_LEAST_REQUESTS_PER_IP} or more"),
    "cmk": ("customer_key", _switch, _SWITCH),
    "reservedConcurrency": (
        "reserved_concurrency",
        lambda value: {"none": False, "default": True}[str(value)],
        "none or default",
    ),
    "canary": ("canary", _switch, _SWITCH),
    "gatewayLogRole": ("gateway_log_role", _switch, _SWITCH),
    "alarmEmail": (
        "alarm_email",
        lambda value: _matching(_EMAIL, value),
        "an e-mail address",
    ),
}
