import attrs
import pytest

from deploy.environments import LOG_RETENTION_DAYS, SettingsError, require_known, settings_for

PROD = {"allowedOrigins": "https://shop.example.com"}


def settings(suffix="dev", **context):
    return settings_for(suffix, context.get)


@pytest.mark.parametrize("suffix", ["d", "dev", "feature-42", "a" * 20, "a-"])
def test_valid_suffix_is_accepted(suffix):
    """A suffix is a letter, then letters, digits and hyphens, with at most 20 characters."""
    assert settings(suffix).suffix == suffix


@pytest.mark.parametrize(
    "suffix", ["", "Dev", "1st", "-a", "a_b", "a b", "a" * 21, "dev\n", "ä", None, 7, ["dev"]]
)
def test_invalid_suffix_is_rejected(suffix):
    """Otherwise the creation of a resource would fail later."""
    with pytest.raises(SettingsError, match=r"^environmentSuffix must be .*[^.]$"):
        settings(suffix)


def test_prod_is_protected_and_logs_no_bodies():
    """An environment with real data has safe defaults."""
    prod = settings("prod", **PROD)

    assert (prod.protected, prod.firewall, prod.auth, prod.reserved_concurrency) == (
        True,
        True,
        "key",
        True,
    )
    assert (prod.log_level, prod.log_retention_days, prod.data_trace) == ("INFO", 30, False)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("dev", "dev"),
        ("prod", "prod"),
        *((suffix, "preview") for suffix in ("feature-42", "product", "devel", "livestock")),
    ],
)
def test_suffix_has_a_default_kind(suffix, kind):
    """A name that only starts like a name of production is a preview."""
    assert settings(suffix, **PROD).kind == kind


@pytest.mark.parametrize(
    "suffix",
    [
        *("production", "live", "staging", "prod-", "prod-eu", "prod2", "production-1"),
        *("live-eu", "staging3"),
    ],
)
def test_name_of_production_needs_a_kind(suffix):
    """Otherwise a default could put real data into an open environment."""
    with pytest.raises(SettingsError, match=r"kind.*dev, preview or prod$"):
        settings(suffix, **PROD)

    for kind in ("dev", "preview", "prod"):
        assert settings(suffix, kind=kind, **PROD).kind == kind


@pytest.mark.parametrize("suffix", ["dev", "prod", "feature-42", "production"])
def test_settings_follow_from_the_kind_and_not_from_the_suffix(suffix):
    """Every suffix can have every kind."""
    expected = settings("prod", **PROD)

    assert settings(suffix, kind="prod", **PROD) == attrs.evolve(expected, suffix=suffix)
    assert settings("prod", kind="dev") == attrs.evolve(settings("dev"), suffix="prod")


@pytest.mark.parametrize("kind", ["production", "", "Prod", 1])
def test_unknown_kind_is_rejected(kind):
    """The message lists the kinds."""
    with pytest.raises(SettingsError, match=r"^kind must be dev, preview or prod, not .*[^.]$"):
        settings("dev", kind=kind)


def test_dev_and_preview_are_open_and_log_everything():
    """A preview differs from dev only in its log retention."""
    dev, preview = settings("dev"), settings("feature-42")

    assert (dev.protected, dev.firewall, dev.auth) == (False, False, "none")
    assert (dev.log_level, dev.log_retention_days, dev.data_trace) == ("DEBUG", 7, True)
    assert dev.allowed_origins == ("*",)
    assert preview == attrs.evolve(dev, kind="preview", suffix="feature-42", log_retention_days=30)


@pytest.mark.parametrize("context", [{}, {"allowedOrigins": None}])
def test_prod_without_origins_is_rejected(context):
    """There is no safe default."""
    with pytest.raises(SettingsError, match=r"^allowedOrigins must name .* prod.*[^.]$"):
        settings("prod", **context)


def test_cognito_without_a_pool_is_rejected():
    """There is no default pool."""
    with pytest.raises(SettingsError, match=r"^userPoolArn must .*[^.]$"):
        settings(auth="cognito")


def test_indexes_with_keys_only_are_for_new_tables():
    """DynamoDB cannot change an index, so the deployment says that it creates the tables."""
    with pytest.raises(
        SettingsError, match=r"^indexProjection=keys needs newTables=true, because DynamoDB cannot"
    ):
        settings(indexProjection="keys")

    assert settings(indexProjection="keys", newTables="true").index_projection == "keys"
    assert settings(newTables="true").index_projection == settings().index_projection == "all"


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_canary_needs_the_log_level_of_request_lines(level):
    """Requests are logged at INFO. At a higher level, failures of a new version would not be counted."""
    with pytest.raises(
        SettingsError, match=rf"^logLevel must be DEBUG or INFO .* '{level}'.*[^.]$"
    ):
        settings(canary="true", logLevel=level)

    assert settings(canary="true", logLevel="INFO").canary
    assert settings(logLevel=level).log_level == level


CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"alarmEmail": "ops@example.com", "alarmTopic": TOPIC}, "alarmEmail and alarmTopic must"),
        ({"domainName": "stock.example.com"}, "domainName and certificateArn must"),
        ({"certificateArn": CERTIFICATE}, "domainName and certificateArn must"),
        ({"tableName": "stock", "ledgerTableName": "stock"}, "ledgerTableName must not be"),
        ({"ledgerTableName": "inventory-dev"}, "ledgerTableName must not be"),
        ({"tableName": "a" * 249}, "ledgerTableName must be given"),
    ],
)
def test_invalid_combination_of_settings_is_rejected(context, message):
    """Each setting is valid on its own."""
    with pytest.raises(SettingsError, match=rf"^{message}"):
        settings(**context)


def test_table_names_follow_from_the_suffix_or_a_setting():
    """The name of the ledger table follows from that of the items table."""
    default, renamed = settings(), settings(tableName="restored")
    both = settings(tableName="restored", ledgerTableName="restored.moves")

    assert (default.items_table, default.ledger_table) == ("inventory-dev", "inventory-dev-ledger")
    assert (renamed.items_table, renamed.ledger_table) == ("restored", "restored-ledger")
    assert (both.items_table, both.ledger_table) == ("restored", "restored.moves")


@pytest.mark.parametrize("days", LOG_RETENTION_DAYS)
def test_log_retention_accepts_all_periods_of_cloudwatch(days):
    """The value is text from the command line, or a number from a file."""
    assert settings(logRetention=str(days)).log_retention_days == days
    assert settings(logRetention=days).log_retention_days == days


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("montlyRequests", "did you mean monthlyRequests"),
        ("alarmemail", "did you mean alarmEmail"),
        ("Kind", "did you mean kind"),
        ("enviromentSuffix", "did you mean environmentSuffix"),
        ("stubbundle", "did you mean stubBundle"),
        ("colour", "docs/deploy.md lists them"),
    ],
)
def test_unknown_setting_is_rejected(key, hint):
    """Otherwise a setting with a typo would be ignored and its default deployed."""
    with pytest.raises(SettingsError, match=rf"^{key} is not a setting: {hint}$"):
        require_known(["waf", key])


def test_context_keys_of_the_cdk_are_accepted():
    """The CDK and its plugins add keys to the same context."""
    require_known(
        [
            "@aws-cdk/core:checkSecretUsage",
            "aws:cdk:enable-path-metadata",
            "acknowledged-issue-numbers",
            "availability-zones:account=1:region=eu-west-1",
            *("kind", "environmentSuffix", "bundle", "stubBundle", "allowedOrigins", "capacity"),
        ]
    )


KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"


@pytest.mark.parametrize(
    ("key", "value", "attribute", "expected"),
    [
        ("allowedOrigins", "https://a.example", "allowed_origins", ("https://a.example",)),
        (
            "allowedOrigins",
            "https://a.example, http://localhost:3000",
            "allowed_origins",
            ("https://a.example", "http://localhost:3000"),
        ),
        ("allowedOrigins", ["https://a.example"], "allowed_origins", ("https://a.example",)),
        ("runtime", "3.13", "python_version", "3.13"),
        ("runtime", "python3.12", "python_version", "3.12"),
        ("memory", "1024", "memory_mb", 1024),
        ("memory", 128, "memory_mb", 128),
        ("logLevel", "WARNING", "log_level", "WARNING"),
        ("billing", "provisioned", "billing", "provisioned"),
        ("alarmEmail", "ops@example.com", "alarm_email", "ops@example.com"),
        ("waf", "true", "firewall", True),
        ("waf", True, "firewall", True),
        ("requestsPerIp", "500", "requests_per_ip", 500),
        ("cmk", "true", "customer_key", True),
        ("transport", "boto3", "transport", "boto3"),
        ("canary", "true", "canary", True),
        ("gatewayLogRole", "true", "gateway_log_role", True),
        ("reservedConcurrency", "default", "reserved_concurrency", True),
        ("auth", "iam", "auth", "iam"),
        ("actorClaim", "cognito:username", "actor_claim", "cognito:username"),
        ("protected", "true", "protected", True),
        ("dataTrace", "false", "data_trace", False),
        ("logKey", KEY, "log_key_arn", KEY),
        ("monthlyRequests", "3000000", "monthly_requests", 3_000_000),
        ("monthlyRequests", 3_000_000, "monthly_requests", 3_000_000),
        ("monthlyRequests", "none", "monthly_requests", None),
        ("capacity", "1-40000", "capacity", (1, 40_000)),
        ("capacity", "7-7", "capacity", (7, 7)),
        (
            "concurrency",
            "create-item=20, get-item=none",
            "concurrency",
            {"create_item": 20, "get_item": None},
        ),
        ("concurrency", {"list-items": 1}, "concurrency", {"list_items": 1}),
        ("alarmTopic", TOPIC, "alarm_topic_arn", TOPIC),
    ],
)
def test_context_overrides_a_setting(key, value, attribute, expected):
    """Values are text from the command line, and JSON from a file."""
    assert getattr(settings(**{key: value}), attribute) == expected


def test_reserved_concurrency_can_be_disabled():
    """A small account cannot reserve concurrency, because 100 executions must stay unreserved."""
    assert not settings("prod", reservedConcurrency="none", **PROD).reserved_concurrency


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("allowedOrigins", ""),
        ("allowedOrigins", "https://a.example/path"),
        ("allowedOrigins", "shop.example.com"),
        ("allowedOrigins", "https://a.example'"),
        ("allowedOrigins", []),
        ("runtime", "3.10"),
        ("runtime", "nodejs22.x"),
        ("memory", "64"),
        ("memory", "lots"),
        ("logLevel", "LOUD"),
        ("billing", "free"),
        ("alarmEmail", "nobody"),
        ("waf", "maybe"),
        ("requestsPerIp", "9"),
        ("requestsPerIp", "many"),
        ("cmk", "1"),
        ("transport", "https"),
        ("reservedConcurrency", "10"),
        ("auth", "basic"),
        ("userPoolArn", "us-east-1_abc"),
        ("actorClaim", ""),
        ("actorClaim", "e-mail address"),
        ("protected", "yes"),
        ("dataTrace", "on"),
        ("logRetention", "8"),
        ("logRetention", "forever"),
        ("logKey", "alias/logs"),
        ("logKey", "arn:aws:kms:us-east-1:123456789012:key/0a1b"),
        ("monthlyRequests", "0"),
        ("monthlyRequests", "-1"),
        ("monthlyRequests", "1e6"),
        ("monthlyRequests", "1_000_000"),
        ("monthlyRequests", "2147483648"),
        ("monthlyRequests", "unlimited"),
        ("memory", "1_024"),
        ("requestsPerIp", "2000000001"),
        ("capacity", "100-5"),
        ("capacity", "0-5"),
        ("capacity", "5-40001"),
        ("capacity", "5"),
        ("indexProjection", "KEYS_ONLY"),
        ("newTables", "yes"),
        ("capacity", 5),
        ("concurrency", "create-item"),
        ("concurrency", "create-item=0"),
        ("concurrency", "create-item=many"),
        ("concurrency", "crate-item=5"),
        ("concurrency", ""),
        ("tableName", "no"),
        ("tableName", "a/b"),
        ("ledgerTableName", "a" * 256),
        ("alarmTopic", "ops"),
        ("domainName", "https://stock.example.com"),
        ("domainName", "localhost"),
        ("certificateArn", "0a1b"),
    ],
)
def test_invalid_value_is_rejected(key, value):
    """The message names the key and the valid values."""
    with pytest.raises(SettingsError, match=rf"^{key} must .*[^.]$"):
        settings(**{key: value})
