"""Fixtures that tests here share with other folders."""

from support.clusters import scheduler
