"""Tidied Verilog: registers as one process, and bits inlined only where that keeps their meaning."""

from spikequant.rtl.tidy import tidy_modules

START = r"\$auto$verilog_backend.cc:2355:dump_module$7 "


def tidied(*lines: str) -> list[str]:
    """Lines of the body of a module with these lines, without indentation."""
    text = "\n".join(("module m(clk, a, b);", *(f"  {line}" for line in lines), "endmodule\n"))
    return [line.strip() for line in tidy_modules(text)["m"].splitlines()[1:-1]]


def test_a_register_is_one_process() -> None:
    found = tidied(
        f"reg {START} = 0;",
        "input clk;",
        "wire clk;",
        "reg [3:0] _0_;",
        "reg [3:0] sums_0_x = 4'h0;",
        "always @(posedge clk)",
        "  sums_0_x <= _0_;",
        "always @* begin",
        f"  if ({START}) begin end",
        "  _0_ = sums_0_x;",
        "  if (a) begin",
        "    _0_[1] = sums_0_x[0];",
        "  end",
        "end",
    )
    assert found == [
        "input clk;",
        "reg [3:0] sums_0_x = 4'h0;",
        "always @(posedge clk) begin",
        "if (a) sums_0_x[1] <= sums_0_x[0];",
        "end",
    ]


def test_a_next_value_that_is_used_elsewhere_stays() -> None:
    found = tidied(
        "reg [3:0] _0_;",
        "reg [3:0] x;",
        "wire [3:0] y;",
        "assign y = _0_;",
        "always @(posedge clk)",
        "  x <= _0_;",
        "always @* begin",
        "  _0_ = y;",
        "end",
    )
    assert "always @* begin" in found
    assert "x <= _0_;" in found


def test_a_value_that_is_held_on_purpose_stays() -> None:
    """An assignment of the register to itself undoes an earlier one."""
    found = tidied(
        "reg _0_;",
        "reg x;",
        "always @(posedge clk)",
        "  x <= _0_;",
        "always @* begin",
        "  _0_ = a;",
        "  if (b) begin",
        "    _0_ = x;",
        "  end",
        "end",
    )
    assert found == ["reg x;", "always @(posedge clk) begin", "x <= a;", "if (b) x <= x;", "end"]


def test_bits_that_are_used_once_are_put_in_place() -> None:
    found = tidied(
        "wire _0_;", "wire _1_;", "wire x;", "assign x = _1_ & b;", "assign _0_ = ~ a;", "assign _1_ = _0_ | b;"
    )
    assert found == ["wire x;", "assign x = ((~a) | b) & b;"]


def test_bits_in_a_wider_expression_stay() -> None:
    """``~a`` would invert the bits above it, too."""
    lines = ["wire _0_;", "wire [3:0] x;", "assign x = _0_ + c;", "assign _0_ = ~ a;"]
    assert tidied(*lines)[2:] == ["assign x = _0_ + c;", "assign _0_ = ~a;"]


def test_bits_that_are_used_twice_stay_and_unused_ones_go() -> None:
    lines = ["wire _0_;", "wire _1_;", "wire x;", "assign x = _0_ & _0_;", "assign _0_ = ~ a;", "assign _1_ = a & b;"]
    assert tidied(*lines) == ["wire _0_;", "wire x;", "assign x = _0_ & _0_;", "assign _0_ = ~a;"]


def test_names_that_contain_a_number_are_left_alone() -> None:
    lines = ["wire _0_;", "wire sums_0_x;", "wire y;", "assign y = _0_ & sums_0_x;", "assign _0_ = ~ a;"]
    assert tidied(*lines) == ["wire sums_0_x;", "wire y;", "assign y = (~a) & sums_0_x;"]


def test_cases_have_no_empty_branch_and_list_all_values_or_a_default() -> None:
    arms = ["  2'h0:", "      /* empty */;", "  2'h1:", "      x = a;"]
    assert tidied("always @* begin", "  casez (s)", *(f"  {arm}" for arm in arms), "  endcase", "end")[1:-1] == [
        "casez (s)",
        "2'h1:",
        "x = a;",
        "default: ;",
        "endcase",
    ]
    full = ["  1'h0:", "      x = a;", "  1'h1:", "      x = b;"]
    assert "default: ;" not in tidied(
        "always @* begin", "  casez (s)", *(f"  {arm}" for arm in full), "  endcase", "end"
    )
