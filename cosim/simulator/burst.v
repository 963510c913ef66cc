// Test bench around the accelerator: generates the clock, plays packets from a file, and records the results.
//
// Python sets `go` and waits for `done`; no Python runs in between. Both files are in the working directory. burst.in
// holds the number of words and the words of each packet; burst.out gets two words for each word received: whether it
// ends a packet, and the word itself.
`timescale 1ns / 1ps
module burst;
  localparam BLOCK = 4096;  // words read from the file at a time
  localparam RESET = 4;     // cycles

  reg         go /*verilator public_flat_rw*/ = 0;
  reg  [31:0] results /*verilator public_flat_rw*/ = 0;     // RESULT packets to wait for
  reg  [31:0] idle_cycles /*verilator public_flat_rw*/ = 0;    // cycles without a word in or out that count as a hang
  reg  [ 7:0] pause_in /*verilator public_flat_rw*/ = 0;     // share of cycles in which each stream pauses, in 256ths
  reg  [ 7:0] pause_out /*verilator public_flat_rw*/ = 0;
  reg  [31:0] seed /*verilator public_flat_rw*/ = 1;          // seed of the pauses; not 0
  reg  [63:0] cut /*verilator public_flat_rw*/ = 0;           // cycle in which the burst is aborted; 0 for never
  reg         done /*verilator public_flat_rw*/ = 0;
  reg         hung /*verilator public_flat_rw*/ = 0;
  reg  [31:0] received /*verilator public_flat_rw*/ = 0;    // packets received so far
  reg  [63:0] cycles /*verilator public_flat_rw*/ = 0;      // from the end of reset to the last word

  reg         clk = 0;
  reg         rst = 1;
  reg  [31:0] s_data = 0;
  reg         s_valid = 0, s_last = 0, m_ready = 0;
  wire        s_ready, m_valid, m_last;
  wire [31:0] m_data;

  spikequant accelerator (
      .clk(clk),
      .rst(rst),
      .s_axis_tdata(s_data),
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .s_axis_tlast(s_last),
      .m_axis_tdata(m_data),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tlast(m_last)
  );

  always #5 clk = ~clk;

  reg [31:0] block[0:BLOCK-1];
  integer    filled = 0, place = 0, left = 0, source = 0, sink = 0, resetting = 0;
  reg [31:0] silence = 0;
  reg        running = 0, over = 0;

  // pauses come in runs, so that both long stalls and long bursts happen
  reg [31:0] noise = 1;
  reg [ 4:0] left_in = 0, left_out = 0;
  reg        paused_in = 0, paused_out = 0;

  function [31:0] stirred(input [31:0] state);
    begin
      stirred = state ^ (state << 13);
      stirred = stirred ^ (stirred >> 17);
      stirred = stirred ^ (stirred << 5);
    end
  endfunction

  function [4:0] stretch(input [2:0] choice);
    stretch = choice == 7 ? 20 : choice == 6 ? 5 : choice == 5 ? 2 : 1;
  endfunction

  task pause;
    begin
      noise = stirred(noise);
      left_in  = left_in - 1;
      left_out = left_out - 1;
      if (left_in + 5'd1 <= 5'd1) begin
        paused_in = noise[7:0] < pause_in;
        left_in   = stretch(noise[10:8]);
      end
      if (left_out + 5'd1 <= 5'd1) begin
        paused_out = noise[18:11] < pause_out;
        left_out   = stretch(noise[21:19]);
      end
    end
  endtask

  // moves `place` to the next word of the file, or sets `over`
  task refill;
    if (place == filled) begin
      filled = $fread(block, source) / 4;
      place  = 0;
      over   = filled == 0;
    end
  endtask

  always @(posedge clk) begin
    if (!running) begin
      rst <= 1;
      if (go && !done) begin
        source    = $fopen("burst.in", "rb");
        sink      = $fopen("burst.out", "wb");
        filled    = 0;
        place     = 0;
        left      = 0;
        over      = 0;
        noise     = seed;
        left_in   = 0;
        left_out  = 0;
        resetting = RESET;
        running <= 1;
        hung <= 0;
        cycles <= 0;
        received <= 0;
        silence <= 0;
      end else if (!go) done <= 0;
    end else if (resetting != 0) begin
      resetting = resetting - 1;
      if (resetting == 0) begin
        rst <= 0;
        m_ready <= 1;
      end
    end else begin
      cycles <= cycles + 1;
      silence <= (s_valid && s_ready) || (m_valid && m_ready) ? 0 : silence + 1;
      pause;
      m_ready <= !paused_out;
      if ((!s_valid || s_ready) && paused_in) s_valid <= 0;
      else if (!s_valid || s_ready) begin
        refill;
        if (left == 0 && !over) begin
          left  = block[place];
          place = place + 1;
          refill;
        end
        s_valid <= !over;
        if (!over) begin
          s_data <= block[place];
          s_last <= left == 1;
          place = place + 1;
          left  = left - 1;
        end
      end
      if (m_valid && m_ready) begin
        $fwrite(sink, "%u", {m_data, 31'd0, m_last});
        if (m_last) received <= received + 1;
      end
      if (silence == idle_cycles || (received == results && !s_valid && over) || (cut != 0 && cycles == cut)) begin
        $fclose(source);
        $fclose(sink);
        hung <= received != results && !(cut != 0 && cycles == cut);
        done <= 1;
        running <= 0;
        s_valid <= 0;
        m_ready <= 0;
        rst <= 1;
      end
    end
  end
endmodule
