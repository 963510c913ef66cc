// Behaviour of an SDR SDRAM of four banks, 16 bits wide, as strict as its data sheet: each command that breaks a rule
// is counted, reported on standard error with its time, and ends the simulation if FATAL is set. Commands that are not
// modelled, such as a READ with auto-precharge, are violations, too.
//
// All times are in ps. T_CLOCK is the period of the commands' clock; a time of the data sheet that is no multiple of it
// lasts until the next cycle. Commands are sampled at the rising edge. Read data appears at the falling edge after the
// last but one rising edge of the latency, and stays for a cycle: this models the data sheet's access time, and the
// delay to the other chip and back. At other times, and if masked, the pins are garbage.
//
// The two ports dq_i and dq_o with dq_oe stand for the pins dq. Columns that were never written read as garbage.
module sdram #(
    parameter ROW_BITS = 13,
    parameter COLUMN_BITS = 9,
    parameter T_CLOCK = 7000,
    parameter T_CK = 7000,
    parameter T_CK_2 = 10000,
    parameter T_RC = 63000,
    parameter T_RFC = 63000,
    parameter T_RAS = 42000,
    parameter T_RAS_MAX = 120000000,
    parameter T_RCD = 21000,
    parameter T_RP = 21000,
    parameter T_RRD = 14000,
    parameter T_WR = 14000,
    parameter T_MRD = 14000,
    parameter longint T_REF = 64000000000,
    parameter REFRESHES = 8192,
    parameter T_START = 200000000,
    parameter START_REFRESHES = 2,
    parameter FATAL = 0
) (
    input clk, cke, cs_n, ras_n, cas_n, we_n,
    input [1:0] ba,
    input [ROW_BITS-1:0] a,
    input [1:0] dqm,
    input [15:0] dq_i,
    input dq_oe,
    output reg [15:0] dq_o,
    output reg [31:0] violations,
    // commands so far, and columns that came out
    output reg [31:0] activates, reads, writes, refreshes, columns
);
    localparam BANKS = 4;
    localparam ALL = 10;
    localparam [2:0] NOTHING = 3'b111, ACTIVATE = 3'b011, READ = 3'b101, WRITE = 3'b100, STOP = 3'b110,
        PRECHARGE = 3'b010, REFRESH = 3'b001, MODE = 3'b000;
    localparam longint NEVER = -64'd1000000000000;

    reg [15:0] cells [0:(1 << (2 + ROW_BITS + COLUMN_BITS)) - 1];

    // rising edges so far, in ps
    longint now;
    longint opened [0:BANKS-1];
    longint closed [0:BANKS-1];
    longint written [0:BANKS-1];
    longint any_opened, refreshed, set;
    reg [BANKS-1:0] is_open;
    reg [ROW_BITS-1:0] row [0:BANKS-1];

    // the start: all banks closed, then refreshes and the mode in either order
    reg start_closed, start_set;
    integer start_refreshed;

    // the last REFRESHES refreshes
    longint refresh_times [0:REFRESHES-1];
    integer refresh_place;

    integer latency, length;

    // the burst under way
    reg running, reading;
    reg [1:0] burst_bank;
    reg [COLUMN_BITS-1:0] burst_column;
    integer burst_left;

    // what comes out: in so many cycles
    reg [15:0] out_data [0:3];
    reg [3:0] out_valid;
    reg [1:0] mask_1, mask_2;
    reg [15:0] garbage;
    reg drove, drove_before;

    wire [2:0] command = cs_n ? NOTHING : {ras_n, cas_n, we_n};

    function automatic longint least(input longint a_time, input longint period);
        least = a_time + period;
    endfunction

    task automatic broken(input [8*20-1:0] rule);
        begin
            violations = violations + 1;
            if (violations <= 20)
                $fdisplay(32'h80000002, "sdram: %0s violated at %0d ns, bank %0d", rule, now / 1000, ba);
            if (FATAL != 0) $fatal(1, "sdram: violation");
        end
    endtask

    function automatic [31:0] place(input [1:0] bank, input [ROW_BITS-1:0] its_row, input [COLUMN_BITS-1:0] column);
        place = {its_row, bank, column};
    endfunction

    // rules that every command but NOTHING, and all but the start's commands, have to keep
    task automatic check_common;
        begin
            if (now < T_START) broken("power-up time");
            if (now < least(set, T_MRD)) broken("tMRD");
            if (now < least(refreshed, T_RFC)) broken("tRFC");
        end
    endtask

    task automatic check_started;
        if (!start_closed || !start_set || start_refreshed < START_REFRESHES) broken("initialisation");
    endtask

    task automatic close(input integer bank);
        begin
            if (is_open[bank]) begin
                if (now < least(opened[bank], T_RAS)) broken("tRAS");
                if (now > opened[bank] + T_RAS_MAX) broken("tRAS maximum");
                if (now < least(written[bank], T_WR)) broken("tWR");
                closed[bank] = now;
            end
            is_open[bank] = 1'b0;
            // data on its way comes out; the rest of the burst does not
            if (running && burst_bank == bank) begin
                if (!reading) broken("tWR");
                running = 1'b0;
            end
        end
    endtask

    task automatic check_closed;
        for (integer bank = 0; bank < BANKS; bank = bank + 1) begin
            if (is_open[bank]) broken("all banks closed");
            if (now < least(closed[bank], T_RP)) broken("tRP");
        end
    endtask

    task automatic begin_burst(input is_read);
        begin
            if (!is_open[ba]) broken("bank open");
            if (now < least(opened[ba], T_RCD)) broken("tRCD");
            if (a[ALL]) broken("auto precharge");
            if (COLUMN_BITS < ALL && |(a[ALL-1:0] >> COLUMN_BITS)) broken("column");
            running = 1'b1;
            reading = is_read;
            burst_bank = ba;
            burst_column = a[COLUMN_BITS-1:0];
            burst_left = length;
        end
    endtask

    task automatic check_retention;
        // the one REFRESHES before the next one
        if (now - refresh_times[refresh_place] > T_REF) broken("tREF");
    endtask

    initial begin
        now = 0;
        violations = 0;
        {activates, reads, writes, refreshes, columns} = 0;
        is_open = 0;
        any_opened = NEVER;
        refreshed = NEVER;
        set = NEVER;
        start_closed = 0;
        start_set = 0;
        start_refreshed = 0;
        refresh_place = 0;
        latency = 3;
        length = 1;
        running = 0;
        out_valid = 0;
        mask_1 = 0;
        mask_2 = 0;
        drove = 0;
        drove_before = 0;
        garbage = 16'hA5C3;
        for (integer bank = 0; bank < BANKS; bank = bank + 1) begin
            opened[bank] = NEVER;
            closed[bank] = NEVER;
            written[bank] = NEVER;
        end
        for (integer index = 0; index < REFRESHES; index = index + 1) refresh_times[index] = 0;
        for (integer index = 0; index < (1 << (2 + ROW_BITS + COLUMN_BITS)); index = index + 1)
            cells[index] = 16'h5A3C ^ index[15:0];
        if (T_CLOCK < T_CK) broken("tCK");
    end

    always @(posedge clk) begin
        now = now + T_CLOCK;
        garbage = {garbage[14:0], garbage[15] ^ garbage[13] ^ garbage[12] ^ garbage[10]};
        // data on its way moves on; what came out with the last falling edge was taken with this one
        drove_before = drove;
        drove = out_valid[0];
        for (integer index = 0; index < 3; index = index + 1) begin
            out_data[index] = out_data[index + 1];
            out_valid[index] = out_valid[index + 1];
        end
        out_valid[3] = 0;
        if (!cke && now > T_START) broken("CKE");

        case (command)
            NOTHING: ;
            ACTIVATE: begin
                check_common;
                check_started;
                if (is_open[ba]) broken("bank closed");
                if (now < least(closed[ba], T_RP)) broken("tRP");
                if (now < least(opened[ba], T_RC)) broken("tRC");
                if (now < least(any_opened, T_RRD)) broken("tRRD");
                is_open[ba] = 1;
                row[ba] = a;
                opened[ba] = now;
                any_opened = now;
                activates = activates + 1;
            end
            READ: begin
                check_common;
                check_started;
                begin_burst(1'b1);
                reads = reads + 1;
            end
            WRITE: begin
                check_common;
                check_started;
                begin_burst(1'b0);
                writes = writes + 1;
            end
            STOP: begin
                check_common;
                running = 0;
            end
            PRECHARGE: begin
                check_common;
                if (a[ALL]) begin
                    for (integer bank = 0; bank < BANKS; bank = bank + 1) close(bank);
                    if (!start_closed)
                        for (integer bank = 0; bank < BANKS; bank = bank + 1) closed[bank] = now;
                    start_closed = 1;
                end else
                    close(ba);
            end
            REFRESH: begin
                check_common;
                check_closed;
                if (!start_closed) broken("initialisation");
                check_retention;
                refresh_times[refresh_place] = now;
                refresh_place = refresh_place == REFRESHES - 1 ? 0 : refresh_place + 1;
                refreshed = now;
                start_refreshed = start_refreshed + 1;
                refreshes = refreshes + 1;
            end
            MODE: begin
                check_common;
                check_closed;
                if (!start_closed) broken("initialisation");
                latency = a[6:4];
                length = 1 << a[2:0];
                // sequential bursts of one to eight for READ and WRITE alike
                if (latency < 2 || latency > 3 || length > 8 || a[3] || |(a >> 7) || ba != 0) broken("mode");
                if (latency == 2 && T_CLOCK < T_CK_2) broken("mode");
                set = now;
                start_set = 1;
            end
        endcase

        if (start_set) check_retention;

        // the burst under way: a column a cycle, which wraps within the burst
        if (running && burst_left > 0) begin
            if (reading) begin
                // it appears at the falling edge after the last but one rising edge of the latency
                out_data[latency - 1] = cells[place(burst_bank, row[burst_bank], burst_column)];
                out_valid[latency - 1] = 1;
                columns = columns + 1;
            end else begin
                if (!dq_oe) broken("data to write");
                if (!dqm[0]) cells[place(burst_bank, row[burst_bank], burst_column)][7:0] = dq_i[7:0];
                if (!dqm[1]) cells[place(burst_bank, row[burst_bank], burst_column)][15:8] = dq_i[15:8];
                written[burst_bank] = now;
            end
            burst_column = (burst_column & ~(length[COLUMN_BITS-1:0] - 1'b1))
                | ((burst_column + 1'b1) & (length[COLUMN_BITS-1:0] - 1'b1));
            burst_left = burst_left - 1;
            if (burst_left == 0) running = 0;
        end
        // nobody drives the pins for a cycle between data read and data written
        if (dq_oe && (drove || drove_before || out_valid[0])) broken("DQ contention");
        mask_2 = mask_1;
        mask_1 = dqm;
    end

    always @(negedge clk) begin
        dq_o <= garbage;
        if (out_valid[0]) begin
            dq_o[7:0] <= mask_2[0] ? ~garbage[7:0] : out_data[0][7:0];
            dq_o[15:8] <= mask_2[1] ? ~garbage[15:8] : out_data[0][15:8];
        end
    end
endmodule
