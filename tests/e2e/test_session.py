"""The command line against the deployed API."""

import pytest
from click.testing import CliRunner

from inventory_adapters.cli.main import cli
from tests.cli.daily_work import check_daily_work

pytestmark = pytest.mark.e2e


def test_daily_work(deployed, tmp_path, monkeypatch):
    """A stocktake, a sale, a return and a transfer; then: what was there on Monday, and who took 3?"""
    with deployed.http() as client:
        monkeypatch.setenv("INVENTORY_URL", str(client.base_url))
    if deployed.api_key is not None:
        monkeypatch.setenv("INVENTORY_API_KEY", deployed.api_key)

    check_daily_work(lambda *arguments: CliRunner().invoke(cli, [*map(str, arguments)]), tmp_path)
