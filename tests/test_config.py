"""Settings from the environment."""

import pytest

from inventory_adapters.config import Config


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        (None, ("*",)),
        ("", ()),
        ("https://a.example.com", ("https://a.example.com",)),
        (
            " https://a.example.com , https://b.example.com,",
            ("https://a.example.com", "https://b.example.com"),
        ),
    ],
)
def test_origins_are_all_by_default_and_none_if_empty(value, origins):
    """A list is separated by commas."""
    environ = {"TABLE_NAME": "stock"} | ({} if value is None else {"ALLOWED_ORIGINS": value})

    assert Config.from_environ(environ).allowed_origins == origins


def test_names_of_the_ledger_and_the_parameter_have_defaults():
    """Spaces around a value are ignored."""
    config = Config.from_environ({"TABLE_NAME": " stock "})

    assert (config.table, config.ledger_table, config.limits_parameter) == (
        "stock",
        "stock-ledger",
        None,
    )
