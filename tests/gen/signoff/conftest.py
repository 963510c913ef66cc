"""Fixtures that tests here share with other folders."""

from support.planted_faults import run_formal_fixture
