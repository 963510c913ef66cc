"""Names and drivers of a netlist's bits."""

import json

from spikequant.benchmarks.netlist import Net, driven_nets

CELLS = {
    "array.sum_CCU2C_S0": ("CCU2C", {"CIN": (["0"], "input"), "S0": ([7], "output"), "COUT": ([8], "output")}),
    "busy_TRELLIS_FF_Q": ("TRELLIS_FF", {"DI": ([7], "input"), "Q": ([9], "output")}),
    "i__payload$67.x_LUT4_Z": ("LUT4", {"A": ([9], "input"), "Z": ([10], "output")}),
    "array": ("$scopeinfo", {}),
}

NETLIST = {
    "modules": {
        "top": {
            "attributes": {"top": "1"},
            "ports": {
                "clk": {"direction": "input", "bits": [2]},
                "data": {"direction": "output", "bits": [9, 10, "0"]},
            },
            "cells": {
                name: {
                    "type": kind,
                    "connections": {port: bits for port, (bits, _) in ports.items()},
                    "port_directions": {port: direction for port, (_, direction) in ports.items()},
                }
                for name, (kind, ports) in CELLS.items()
            },
            "netnames": {
                "clk": {"bits": [2]},
                "data": {"bits": [9, 10, "0"]},
                "n1": {"bits": [7]},
                "n2": {"bits": [7]},
                "n3": {"bits": [8]},
                "n4": {"bits": [10]},
                "undriven": {"bits": [11]},
            },
        }
    }
}


def test_every_driven_bit_has_one_name() -> None:
    assert driven_nets(json.dumps(NETLIST).encode()) == {
        "clk": Net("ports", "rest"),
        "data[0]": Net("registers", "rest"),
        "data[1]": Net("logic", "rest"),
        "n1": Net("carry chains", "array"),
        "n3": Net("carry chains", "array"),
    }
