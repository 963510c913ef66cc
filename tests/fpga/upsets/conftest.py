"""Fixtures that tests here share with other folders."""

from support.simulation import cache, device, logs, sources
