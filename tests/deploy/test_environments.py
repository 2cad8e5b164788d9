import attrs
import pytest

from deploy.environments import SettingsError, settings_for

PROD = {"allowedOrigins": "https://shop.example.com"}


def settings(suffix="dev", **context):
    return settings_for(suffix, context.get)


@pytest.mark.parametrize("suffix", ["d", "dev", "feature-42", "a" * 20, "a-"])
def test_a_suffix_names_an_environment(suffix):
    """A letter, then letters, digits and hyphens, twenty in all."""
    assert settings(suffix).suffix == suffix


@pytest.mark.parametrize(
    "suffix", ["", "Dev", "1st", "-a", "a_b", "a b", "a" * 21, "dev\n", "ä", None, 7, ["dev"]]
)
def test_anything_else_is_refused_with_a_sentence(suffix):
    """A name that would break in a later resource never reaches one."""
    with pytest.raises(SettingsError, match=r"^environmentSuffix must be .*\.$"):
        settings(suffix)


def test_prod_is_careful():
    """What has data and clients is kept, guarded and quiet."""
    prod = settings("prod", **PROD)

    assert (prod.protected, prod.firewall, prod.auth, prod.reserved_concurrency) == (
        True,
        True,
        "key",
        True,
    )
    assert (prod.log_level, prod.log_retention_days, prod.data_trace) == ("INFO", 30, False)


def test_any_other_environment_is_open_and_talkative():
    """A preview differs from dev in how long its logs are kept, and in nothing else."""
    dev, preview = settings("dev"), settings("feature-42")

    assert (dev.protected, dev.firewall, dev.auth) == (False, False, "none")
    assert (dev.log_level, dev.log_retention_days, dev.data_trace) == ("DEBUG", 7, True)
    assert dev.allowed_origins == ("*",)
    assert preview == attrs.evolve(dev, suffix="feature-42", log_retention_days=30)


@pytest.mark.parametrize("context", [{}, {"allowedOrigins": None}])
def test_prod_without_origins_is_refused_with_a_sentence(context):
    """Nobody but the operator can know them, and all would be too many."""
    with pytest.raises(SettingsError, match=r"^allowedOrigins must name .* prod.*\.$"):
        settings("prod", **context)


def test_cognito_without_a_pool_is_refused_with_a_sentence():
    """There is no pool to fall back on."""
    with pytest.raises(SettingsError, match=r"^userPoolArn must .*\.$"):
        settings(auth="cognito")


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
        ("canary", "true", "canary", True),
        ("gatewayLogRole", "true", "gateway_log_role", True),
        ("reservedConcurrency", "default", "reserved_concurrency", True),
        ("auth", "iam", "auth", "iam"),
    ],
)
def test_the_context_overrides_a_setting(key, value, attribute, expected):
    """Values come as text from the command line, and as JSON from a file."""
    assert getattr(settings(**{key: value}), attribute) == expected


def test_a_small_account_reserves_no_concurrency():
    """Reserving is refused where less than 100 executions would be left to the other functions."""
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
        ("reservedConcurrency", "10"),
        ("auth", "basic"),
        ("userPoolArn", "us-east-1_abc"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused_with_a_sentence(key, value):
    """It names the key, and says what it may be."""
    with pytest.raises(SettingsError, match=rf"^{key} must .*\.$"):
        settings(**{key: value})
