"""Proofs that changes of bits and branches are unreachable."""

from spikequant.cosim.coverage.unreachable import unreachable

VERILOG = """
module part(input clk, input rst, input on, output reg [3:0] low = 0, output reg stuck = 1);
  reg \\odd[1] = 0;
  // bit 3 of a wire, and another wire with that name
  wire [3:0] sums = {2'b0, on, 1'b0};
  wire [1:0] \\sums[3] = {on, on};
  reg [2:0] twin = 0;
  wire differs = twin != low;
  reg [7:0] rows [3:0];
  // words that are written to the small memory are even
  reg [3:0] word = 0;
  reg even = 0;
  reg [3:0] kept [1:0];
  wire [3:0] out = kept[low[0]];
  initial begin
    kept[0] = 0;
    kept[1] = 0;
  end
  always @(posedge clk) begin
    word <= {low[2:0], on};
    even <= differs ? 1 : ~on;
    if (even) kept[low[1]] <= word;
    if (differs) begin
      word <= 0;
    end else if (low[3] ) begin
      word <= 0;
    end
    if (!on) word[3] <= on ? 1 : 0;
    low <= rst ? 0 : (low + on) & 7;
    twin <= rst ? 0 : twin + on;
    stuck <= stuck | on;
    \\odd[1] <= \\odd[1] | on;
    rows[low] <= {8{on}};
  end
endmodule

module spikequant(
  input clk, input rst, input [31:0] s_axis_tdata, input s_axis_tvalid, input s_axis_tlast, input m_axis_tready,
  output [3:0] low, output stuck
);
  wire always_low = s_axis_tvalid & ~s_axis_tvalid;
  part part(.clk(clk), .rst(rst), .on(s_axis_tvalid), .low(low), .stuck(stuck));
endmodule
"""


def test_unreachable_points_are_found() -> None:
    never = {"part: low[3] rises", "part: low[3] falls", "part: stuck falls", "part: stuck rises", "part: odd[1] falls"}
    never |= {
        "top: always_low rises",
        "top: low[3] rises",
        "part: differs rises",
        "part: out[0] rises",
        "part: sums[3] rises",
    }
    happens = {
        "part: low[2] rises",
        "part: low[2] falls",
        "part: odd[1] rises",
        "top: s_axis_tdata[31] falls",
        "part: out[1] rises",
    }
    lines = {text: number for number, text in enumerate(VERILOG.splitlines(), 1)}
    differs, beyond, off, both = (
        lines[text]
        for text in (
            "    if (differs) begin",
            "    end else if (low[3] ) begin",
            "    if (!on) word[3] <= on ? 1 : 0;",
            "    even <= differs ? 1 : ~on;",
        )
    )
    never |= {f"part: line {differs}, if at 5", f"part: line {beyond}, if at 14"}
    happens |= {f"part: line {beyond}, else at 14", f"part: line {off}, if at 5", f"part: line {off}, else at 5"}
    happens |= {f"part: line {off}, cond_else at 20"}
    never |= {f"part: line {both}, cond_then at 20"}
    unknown = {"part: rows[0][1] rises", "nowhere: bit rises"}
    assert unreachable(VERILOG, sorted(never | happens | unknown)) == never


def test_no_points_need_no_proof() -> None:
    assert unreachable(VERILOG, ["nowhere: bit rises"]) == set()
