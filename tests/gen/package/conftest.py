"""Fixtures that tests here share with other folders."""

from support.generated import away, generated
