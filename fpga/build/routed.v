// Models of the cells in nextpnr's netlists. A mode that is not modelled is an error.
//
// `spikequant.fpga.build.routed` puts constants on open pins first.

// A lookup table, as logic, as a bit of a carry chain, or as a bit of a memory of 16 rows; with the multiplexer of its
// output and its neighbour's, or of two pairs.
module TRELLIS_COMB (
    input A, B, C, D, M, FCI, F1, FXA, FXB, WD, WAD0, WAD1, WAD2, WAD3, WRE, WCK,
    output F, FCO, OFX
);
    parameter MODE = "LOGIC";
    parameter [15:0] INITVAL = 16'h0;
    parameter CCU2_INJECT1 = "NO";
    // multiplexer of two pairs instead of two tables
    parameter WIDE = 0;

    wire value = INITVAL[{D, C, B, A}];
    generate
        if (MODE == "LOGIC") begin : g_logic
            assign F = value;
            assign FCO = 1'b0;
        end else if (MODE == "CCU2") begin : g_carry
            // the lowest four entries, by A and B alone, make a carry where the table's value propagates none
            wire made = INITVAL[{2'b00, B, A}];
            assign F = CCU2_INJECT1 == "YES" ? value : value ^ FCI;
            assign FCO = value ? FCI : CCU2_INJECT1 == "YES" ? 1'b0 : made;
        end else if (MODE == "DPRAM") begin : g_memory
            reg [15:0] rows = INITVAL;
            always @(posedge WCK) if (WRE) rows[{WAD3, WAD2, WAD1, WAD0}] <= WD;
            assign F = rows[{A, C, B, D}];
            assign FCO = 1'b0;
        end else if (MODE == "RAMW_BLOCK") begin : g_taken
            assign F = 1'b0;
            assign FCO = 1'b0;
        end else $fatal(1, "TRELLIS_COMB: MODE is not modelled");
    endgenerate
    assign OFX = WIDE ? (M ? FXB : FXA) : (M ? F1 : F);
endmodule

// The tables that bring address and data to a memory's write port.
module TRELLIS_RAMW (
    input A0, B0, C0, D0, A1, B1, C1, D1,
    output WADO0, WADO1, WADO2, WADO3, WDO0, WDO1, WDO2, WDO3
);
    assign {WADO3, WADO2, WADO1, WADO0} = {A0, C0, B0, D0};
    assign {WDO3, WDO2, WDO1, WDO0} = {B1, D1, A1, C1};
endmodule

// A clock's way to the whole device.
module DCCA (input CLKI, CE, output CLKO);
    assign CLKO = CLKI & CE;
endmodule

// A pin that is an input, or an output.
module PAD_IN (input B, output O);
    assign O = B;
endmodule

module PAD_OUT (input I, output B);
    assign B = I;
endmodule
