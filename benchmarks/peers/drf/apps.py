"""The one app of the Django peer."""

from pathlib import Path

from django.apps import AppConfig


class MarketConfig(AppConfig):
    """The market's tables and views."""

    name = "benchmarks.peers.drf"
    label = "market"
    path = str(Path(__file__).parent)
