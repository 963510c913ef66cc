// Behaviour of the ECP5's block RAMs, as far as the design uses it: after the memory usage guide of the family.
// A parameter that is not modelled is an error.

// True dual port: both ports read and write rows of the same width. With rows of 36 bits, as Yosys writes a simple dual
// port, the data pins of both ports are one row: port A writes it, a byte of nine for each of its four lowest address
// pins, and port B reads it.
//
// A port that is enabled (CE, and every CS low) reads its row into a latch or, where WE is set, writes it, and then
// the latch stays as it is (WRITEMODE "NORMAL"). The latch goes to the output register, if that is used (REGMODE),
// where OCE is set. The row is on the uppermost address pins. At 18 bits, the lowest two are the enables of the row's
// halves. A row that one port reads while the other one writes it reads as unknown: here as the inverse of what it is.
module DP16KD (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
        DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
        DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
        DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
        DOB1, DOB0
);
    parameter DATA_WIDTH_A = 18;
    parameter DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG";
    parameter REGMODE_B = "NOREG";
    parameter WRITEMODE_A = "NORMAL";
    parameter WRITEMODE_B = "NORMAL";
    parameter CSDECODE_A = "0b000";
    parameter CSDECODE_B = "0b000";
    parameter RESETMODE = "SYNC";
    parameter ASYNC_RESET_RELEASE = "SYNC";
    parameter CLKAMUX = "CLKA";
    parameter CLKBMUX = "CLKB";
    parameter GSR = "ENABLED";
    parameter [319:0] INITVAL_00 = 320'b0, INITVAL_01 = 320'b0, INITVAL_02 = 320'b0, INITVAL_03 = 320'b0,
        INITVAL_04 = 320'b0, INITVAL_05 = 320'b0, INITVAL_06 = 320'b0, INITVAL_07 = 320'b0,
        INITVAL_08 = 320'b0, INITVAL_09 = 320'b0, INITVAL_0A = 320'b0, INITVAL_0B = 320'b0,
        INITVAL_0C = 320'b0, INITVAL_0D = 320'b0, INITVAL_0E = 320'b0, INITVAL_0F = 320'b0,
        INITVAL_10 = 320'b0, INITVAL_11 = 320'b0, INITVAL_12 = 320'b0, INITVAL_13 = 320'b0,
        INITVAL_14 = 320'b0, INITVAL_15 = 320'b0, INITVAL_16 = 320'b0, INITVAL_17 = 320'b0,
        INITVAL_18 = 320'b0, INITVAL_19 = 320'b0, INITVAL_1A = 320'b0, INITVAL_1B = 320'b0,
        INITVAL_1C = 320'b0, INITVAL_1D = 320'b0, INITVAL_1E = 320'b0, INITVAL_1F = 320'b0,
        INITVAL_20 = 320'b0, INITVAL_21 = 320'b0, INITVAL_22 = 320'b0, INITVAL_23 = 320'b0,
        INITVAL_24 = 320'b0, INITVAL_25 = 320'b0, INITVAL_26 = 320'b0, INITVAL_27 = 320'b0,
        INITVAL_28 = 320'b0, INITVAL_29 = 320'b0, INITVAL_2A = 320'b0, INITVAL_2B = 320'b0,
        INITVAL_2C = 320'b0, INITVAL_2D = 320'b0, INITVAL_2E = 320'b0, INITVAL_2F = 320'b0,
        INITVAL_30 = 320'b0, INITVAL_31 = 320'b0, INITVAL_32 = 320'b0, INITVAL_33 = 320'b0,
        INITVAL_34 = 320'b0, INITVAL_35 = 320'b0, INITVAL_36 = 320'b0, INITVAL_37 = 320'b0,
        INITVAL_38 = 320'b0, INITVAL_39 = 320'b0, INITVAL_3A = 320'b0, INITVAL_3B = 320'b0,
        INITVAL_3C = 320'b0, INITVAL_3D = 320'b0, INITVAL_3E = 320'b0, INITVAL_3F = 320'b0;

    localparam JOINED = DATA_WIDTH_A == 36;

    // address pins below the row
    localparam LOW = JOINED ? 5 : DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3 : DATA_WIDTH_A == 4 ? 2 : DATA_WIDTH_A == 2 ? 1 : 0;
    localparam ROWS = 1 << (14 - LOW);

    if (DATA_WIDTH_A != 1 && DATA_WIDTH_A != 2 && DATA_WIDTH_A != 4 && DATA_WIDTH_A != 9 && DATA_WIDTH_A != 18
        && !JOINED)
        $fatal(1, "DP16KD: DATA_WIDTH_A is not modelled");
    if (DATA_WIDTH_B != DATA_WIDTH_A) $fatal(1, "DP16KD: different widths are not modelled");
    if (REGMODE_A != "OUTREG" && REGMODE_A != "NOREG") $fatal(1, "DP16KD: REGMODE is not modelled");
    if (REGMODE_B != REGMODE_A) $fatal(1, "DP16KD: two kinds of REGMODE are not modelled");
    if (WRITEMODE_A != "NORMAL" || WRITEMODE_B != "NORMAL") $fatal(1, "DP16KD: WRITEMODE is not modelled");
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") $fatal(1, "DP16KD: CSDECODE is not modelled");
    if (RESETMODE != "SYNC" && RESETMODE != "ASYNC") $fatal(1, "DP16KD: RESETMODE is not modelled");
    if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB") $fatal(1, "DP16KD: an inverted clock is not modelled");
    // rows of 18 bits, each in 20; narrow rows leave out every ninth bit
    localparam [64*320-1:0] INITIAL = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
        INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
        INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
        INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
        INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
        INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
        INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
    };
    localparam USED = DATA_WIDTH_A < 9 ? 8 : 9;
    if (JOINED && |INITIAL) $fatal(1, "DP16KD: INITVAL of a joined port is not modelled");
    if (GSR != "DISABLED") $fatal(1, "DP16KD: GSR is not modelled");

    wire [13:0] address_a = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
    };
    wire [17:0] written_a = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
        DIA1, DIA0
    };
    wire enabled_a = CEA && !CSA2 && !CSA1 && !CSA0;
    wire [13:0] row_a = address_a >> LOW;
    wire [13:0] address_b = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
    };
    wire [17:0] written_b = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
        DIB1, DIB0
    };
    wire enabled_b = CEB && !CSB2 && !CSB1 && !CSB0;
    wire [13:0] row_b = address_b >> LOW;

    function [17:0] merged(input [17:0] old, input [17:0] written, input [1:0] halves);
        merged = DATA_WIDTH_A != 18 ? written :
            {halves[1] ? written[17:9] : old[17:9], halves[0] ? written[8:0] : old[8:0]};
    endfunction

    reg [DATA_WIDTH_A-1:0] rows [0:ROWS-1];
    reg [17:0] latch_a = 0;
    reg [17:0] latch_b = 0;
    reg [17:0] output_a = 0;
    reg [17:0] output_b = 0;
    reg [35:0] joined_latch = 0;
    reg [35:0] joined_output = 0;
    wire [35:0] joined_enables = {{9{ADA3}}, {9{ADA2}}, {9{ADA1}}, {9{ADA0}}};
    integer i, bit_of_row, at;
    initial for (i = 0; i < ROWS; i = i + 1) begin
        rows[i] = 0;
        for (bit_of_row = 0; bit_of_row < DATA_WIDTH_A && !JOINED; bit_of_row = bit_of_row + 1) begin
            at = i * DATA_WIDTH_A + bit_of_row;
            rows[i][bit_of_row] = INITIAL[at / (2 * USED) * 20 + at / USED % 2 * 9 + at % USED];
        end
    end

    // both ports of the design are on one clock
    wire collision = enabled_a && enabled_b && row_a == row_b;
    if (JOINED) begin : joined
        always @(posedge CLKA) begin
            if (enabled_a && WEA)
                rows[row_a[13-LOW:0]] <= rows[row_a[13-LOW:0]] & ~joined_enables | {written_b, written_a} & joined_enables;
            if (RSTB) joined_latch <= 0;
            else if (enabled_b && !WEB) joined_latch <= collision && WEA ? ~rows[row_b[13-LOW:0]] : rows[row_b[13-LOW:0]];
            if (RSTB) joined_output <= 0;
            else if (OCEB) joined_output <= joined_latch;
            if (WEB) $fatal(1, "DP16KD: a joined port that writes is not modelled");
        end
    end else begin : apart
        always @(posedge CLKA) begin
            if (enabled_a && WEA) rows[row_a[13-LOW:0]] <= merged(rows[row_a[13-LOW:0]], written_a, address_a[1:0]);
            if (enabled_b && WEB) rows[row_b[13-LOW:0]] <= merged(rows[row_b[13-LOW:0]], written_b, address_b[1:0]);
            if (collision && WEA && WEB) $fatal(1, "DP16KD: both ports write row %0d", row_a);
            if (RSTA) latch_a <= 0;
            else if (enabled_a && !WEA) latch_a <= collision && WEB ? ~rows[row_a[13-LOW:0]] : rows[row_a[13-LOW:0]];
            if (RSTB) latch_b <= 0;
            else if (enabled_b && !WEB) latch_b <= collision && WEA ? ~rows[row_b[13-LOW:0]] : rows[row_b[13-LOW:0]];
            if (RSTA) output_a <= 0;
            else if (OCEA) output_a <= latch_a;
            if (RSTB) output_b <= 0;
            else if (OCEB) output_b <= latch_b;
        end
    end
    always @(posedge CLKA) if (RESETMODE == "ASYNC" && (RSTA || RSTB)) $fatal(1, "DP16KD: an asynchronous reset is not modelled");
    always @(posedge CLKB) if (!CLKA) $fatal(1, "DP16KD: two clocks are not modelled");

    wire [35:0] joined_row = REGMODE_B == "OUTREG" ? joined_output : joined_latch;
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
        DOA1, DOA0
    } = JOINED ? joined_row[17:0] : REGMODE_A == "OUTREG" ? output_a : latch_a;
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
        DOB1, DOB0
    } = JOINED ? joined_row[35:18] : REGMODE_B == "OUTREG" ? output_b : latch_b;
endmodule

// Simple dual port: one port writes rows of 36 bits, a byte of nine for each BE, and the other one reads them.
// As above, but for a row that is read while it is written; every row is zero at the start.
module PDPW16KD (
    input DI35, DI34, DI33, DI32, DI31, DI30, DI29, DI28, DI27, DI26, DI25, DI24, DI23, DI22, DI21, DI20, DI19,
        DI18, DI17, DI16, DI15, DI14, DI13, DI12, DI11, DI10, DI9, DI8, DI7, DI6, DI5, DI4, DI3, DI2, DI1, DI0,
    input ADW8, ADW7, ADW6, ADW5, ADW4, ADW3, ADW2, ADW1, ADW0,
    input BE3, BE2, BE1, BE0, CEW, CLKW, CSW2, CSW1, CSW0,
    input ADR13, ADR12, ADR11, ADR10, ADR9, ADR8, ADR7, ADR6, ADR5, ADR4, ADR3, ADR2, ADR1, ADR0,
    input CER, OCER, CLKR, CSR2, CSR1, CSR0, RST,
    output DO35, DO34, DO33, DO32, DO31, DO30, DO29, DO28, DO27, DO26, DO25, DO24, DO23, DO22, DO21, DO20, DO19,
        DO18, DO17, DO16, DO15, DO14, DO13, DO12, DO11, DO10, DO9, DO8, DO7, DO6, DO5, DO4, DO3, DO2, DO1, DO0
);
    parameter DATA_WIDTH_W = 36;
    parameter DATA_WIDTH_R = 36;
    parameter REGMODE = "NOREG";
    parameter RESETMODE = "SYNC";
    parameter CSDECODE_W = "0b000";
    parameter CSDECODE_R = "0b000";
    parameter GSR = "ENABLED";

    if (DATA_WIDTH_W != 36 || DATA_WIDTH_R != 36) $fatal(1, "PDPW16KD: DATA_WIDTH is not modelled");
    if (REGMODE != "OUTREG") $fatal(1, "PDPW16KD: REGMODE is not modelled");
    if (RESETMODE != "SYNC") $fatal(1, "PDPW16KD: RESETMODE is not modelled");
    if (CSDECODE_W != "0b000" || CSDECODE_R != "0b000") $fatal(1, "PDPW16KD: CSDECODE is not modelled");
    if (GSR != "DISABLED") $fatal(1, "PDPW16KD: GSR is not modelled");

    wire [8:0] row_w = {
        ADW8, ADW7, ADW6, ADW5, ADW4, ADW3, ADW2, ADW1, ADW0
    };
    wire [13:0] address_r = {
        ADR13, ADR12, ADR11, ADR10, ADR9, ADR8, ADR7, ADR6, ADR5, ADR4, ADR3, ADR2, ADR1, ADR0
    };
    wire [35:0] written = {
        DI35, DI34, DI33, DI32, DI31, DI30, DI29, DI28, DI27, DI26, DI25, DI24, DI23, DI22, DI21, DI20, DI19, DI18,
        DI17, DI16, DI15, DI14, DI13, DI12, DI11, DI10, DI9, DI8, DI7, DI6, DI5, DI4, DI3, DI2, DI1, DI0
    };
    wire [8:0] row_r = address_r[13:5];
    wire writes = CEW && !CSW2 && !CSW1 && !CSW0;
    wire reads = CER && !CSR2 && !CSR1 && !CSR0;
    wire [35:0] enables = {{9{BE3}}, {9{BE2}}, {9{BE1}}, {9{BE0}}};

    reg [35:0] rows [0:511];
    reg [35:0] latch = 0;
    reg [35:0] register = 0;
    integer i;
    initial for (i = 0; i < 512; i = i + 1) rows[i] = 0;

    always @(posedge CLKW) begin
        if (writes) rows[row_w] <= rows[row_w] & ~enables | written & enables;
        if (RST) latch <= 0;
        else if (reads) latch <= writes && row_r == row_w ? ~rows[row_r] : rows[row_r];
        if (RST) register <= 0;
        else if (OCER) register <= latch;
    end
    always @(posedge CLKR) if (!CLKW) $fatal(1, "PDPW16KD: two clocks are not modelled");

    assign {
        DO35, DO34, DO33, DO32, DO31, DO30, DO29, DO28, DO27, DO26, DO25, DO24, DO23, DO22, DO21, DO20, DO19, DO18,
        DO17, DO16, DO15, DO14, DO13, DO12, DO11, DO10, DO9, DO8, DO7, DO6, DO5, DO4, DO3, DO2, DO1, DO0
    } = register;
endmodule
