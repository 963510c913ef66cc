"""Fixtures that tests here share with other folders."""

from support.boards import (
    _random_packets,
    _serial_host,
    _simulate,
    board_program,
    build_cache,
    echo_class,
    small,
    smallest_file,
)
