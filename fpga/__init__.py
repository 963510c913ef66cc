"""From Verilog to bitstreams: boards, open tools, serial link."""
