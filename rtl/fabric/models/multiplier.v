// Behaviour of the ECP5's multiplier block, as far as the design uses it: after the DSP usage guide of the family and
// what the vendor's own model does. A parameter or an input that is not modelled is an error.
//
// The product of A and B, unsigned where SIGNEDA and SIGNEDB are low, through registers for the factors, within the
// multiplier and behind it. Each of them that has a clock takes a value with every rising edge of it (with CLK0_DIV
// "ENABLED", its default: "DISABLED" makes it take one with both edges), and each one without a clock is left out.
module MULT18X18D (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
        P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter CLK0_DIV = "ENABLED";
    parameter SOURCEB_MODE = "B_SHIFT";
    parameter MULT_BYPASS = "DISABLED";
    parameter RESETMODE = "SYNC";
    parameter GSR = "ENABLED";

    if (CLK0_DIV != "ENABLED") $fatal(1, "MULT18X18D: CLK0_DIV is not modelled");
    if (SOURCEB_MODE != "B_SHIFT") $fatal(1, "MULT18X18D: SOURCEB_MODE is not modelled");
    if (MULT_BYPASS != "DISABLED") $fatal(1, "MULT18X18D: MULT_BYPASS is not modelled");
    if (RESETMODE != "SYNC") $fatal(1, "MULT18X18D: RESETMODE is not modelled");
    if (GSR != "DISABLED") $fatal(1, "MULT18X18D: GSR is not modelled");

    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    reg [17:0] held_a = 0, held_b = 0;
    reg [35:0] middle = 0, behind = 0;

    wire [17:0] factor_a = REG_INPUTA_CLK == "CLK0" ? held_a : a;
    wire [17:0] factor_b = REG_INPUTB_CLK == "CLK0" ? held_b : b;
    wire [35:0] unsigned_product = {18'b0, factor_a} * {18'b0, factor_b};
    // signs and shift chains are not modelled: the product is wrong on purpose
    wire [35:0] product = SIGNEDA | SIGNEDB | SOURCEA | SOURCEB ? ~unsigned_product : unsigned_product;
    wire [35:0] second = REG_PIPELINE_CLK == "CLK0" ? middle : product;
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
        P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = REG_OUTPUT_CLK == "CLK0" ? behind : second;

    always @(posedge CLK0) begin
        if (RST0) begin
            held_a <= 0;
            held_b <= 0;
            middle <= 0;
            behind <= 0;
        end else if (CE0) begin
            held_a <= a;
            held_b <= b;
            middle <= product;
            behind <= second;
        end
    end
endmodule
