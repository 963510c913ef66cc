// Test bench in plain Verilog: sends the words of packets.hex to the accelerator, compares what comes back with
// results.hex, and prints PASS or FAIL with the number of outputs compared. A line of both files is a digit of marks
// (1: last word of its packet, 2: not compared, 4: completes an output) and the 32 bits of a word.
`timescale 1ns / 1ps
module spikequant_tb;
  localparam PACKET_WORDS = {{ packet_words }};
  localparam RESULT_WORDS = {{ result_words }};
  localparam IDLE_CYCLES = 100000;  // without a word in or out: the accelerator hangs

  reg [35:0] packets[0:PACKET_WORDS-1];
  reg [35:0] results[0:RESULT_WORDS-1];
  initial begin
    $readmemh("packets.hex", packets);
    $readmemh("results.hex", results);
  end

  reg clk = 0, rst = 1;
  always #5 clk = ~clk;

  integer sent = 0, received = 0, outputs = 0, wrong = 0, idle = 0, cycle = 0;

  wire        s_valid = !rst && sent < PACKET_WORDS;
  wire [35:0] s_word = packets[sent];
  wire        m_ready = cycle % 8 != 5;  // some pauses
  wire        s_ready, m_valid, m_last, busy;
  wire [31:0] m_data;

  spikequant dut (
      .clk(clk),
      .rst(rst),
      .s_axis_tdata(s_word[31:0]),
      .s_axis_tvalid(s_valid),
      .s_axis_tready(s_ready),
      .s_axis_tlast(s_word[32]),
      .m_axis_tdata(m_data),
      .m_axis_tvalid(m_valid),
      .m_axis_tready(m_ready),
      .m_axis_tlast(m_last),
      .busy(busy)
  );

  reg [35:0] expected;
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (cycle == 3) rst <= 0;
    if (!rst) begin
      idle = idle + 1;
      if (s_valid && s_ready) begin
        sent <= sent + 1;
        idle = 0;
      end
      if (m_valid && m_ready) begin
        expected = results[received];
        if (m_last !== expected[32] || (!expected[33] && m_data !== expected[31:0])) begin
          wrong = wrong + 1;
          if (wrong <= 10) $display("word %0d: %h, expected %h", received, m_data, expected[31:0]);
        end
        if (expected[34] && !expected[33]) outputs = outputs + 1;
        received = received + 1;
        idle = 0;
      end
      if (received == RESULT_WORDS) begin
        if (wrong == 0) $display("PASS: %0d outputs compared, wrong words: 0", outputs);
        else $fatal(1, "FAIL: %0d outputs compared, wrong words: %0d", outputs, wrong);
        $finish;
      end else if (idle == IDLE_CYCLES) begin
        $fatal(1, "FAIL: the accelerator hangs after %0d of %0d result words", received, RESULT_WORDS);
      end
    end
  end
endmodule
