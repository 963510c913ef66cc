// A PLL of the ECP5 for simulation: its fastest output is its reference, whatever its dividers are, and it locks at once.
// A second output may be faster than the first one, a whole number of times.

module EHXPLLL #(
    parameter PLLRST_ENA = "DISABLED",
    parameter INTFB_WAKE = "DISABLED",
    parameter STDBY_ENABLE = "DISABLED",
    parameter DPHASE_SOURCE = "DISABLED",
    parameter OUTDIVIDER_MUXA = "DIVA",
    parameter OUTDIVIDER_MUXB = "DIVB",
    parameter OUTDIVIDER_MUXC = "DIVC",
    parameter OUTDIVIDER_MUXD = "DIVD",
    parameter CLKI_DIV = 1,
    parameter CLKFB_DIV = 1,
    parameter CLKOP_ENABLE = "ENABLED",
    parameter CLKOP_DIV = 1,
    parameter CLKOP_CPHASE = 0,
    parameter CLKOP_FPHASE = 0,
    parameter CLKOS_ENABLE = "DISABLED",
    parameter CLKOS_DIV = CLKOP_DIV,
    parameter CLKOS_CPHASE = 0,
    parameter CLKOS_FPHASE = 0,
    parameter FEEDBK_PATH = "CLKOP"
) (
    input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC, ENCLKOP,
    output CLKOP, CLKOS, LOCK
);
    localparam TIMES = CLKOP_DIV / CLKOS_DIV;

    if (TIMES * CLKOS_DIV != CLKOP_DIV || (TIMES != 1 && TIMES % 2 != 0)) $fatal(1, "EHXPLLL: ratio is not modelled");

    reg slow = 1'b0;
    integer count = 0;

    always @(posedge CLKI) begin
        count <= count == TIMES / 2 - 1 ? 0 : count + 1;
        if (count == TIMES / 2 - 1) slow <= !slow;
    end

    assign CLKOP = TIMES == 1 ? CLKI : slow;
    assign CLKOS = CLKI;
    assign LOCK = 1'b1;
endmodule
