"""Fixtures that tests here share with other folders."""

from support.hardware import (
    packet_streams_fixture,
    play_after_resets_fixture,
    play_fixture,
    play_packets_fixture,
    run_streams_fixture,
    simulate_fixture,
)
