// Plays the same words into the same Verilog as burst.v does, without cocotb: what the bench costs is measured
// against it. Usage: spikequant BURST_IN BURST_OUT RESULTS; prints the clock cycles and the seconds.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

static const int kResetCycles = 4;
static const unsigned kIdleCycles = 200000;

static std::vector<uint32_t> read_words(const char* path) {
    std::vector<uint32_t> words;
    std::FILE* file = std::fopen(path, "rb");
    if (!file) return words;
    unsigned char bytes[4];
    while (std::fread(bytes, 1, 4, file) == 4)
        words.push_back(uint32_t(bytes[0]) << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]);
    std::fclose(file);
    return words;
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const std::vector<uint32_t> words = read_words(argv[1]);
    std::FILE* sink = std::fopen(argv[2], "wb");
    if (!sink) return 2;
    const unsigned long wanted = std::strtoul(argv[3], nullptr, 10);

    VerilatedContext context;
    Vtop top(&context);
    top.rst = 1;
    for (int cycle = 0; cycle < kResetCycles; ++cycle) {
        top.clk = 0, top.eval();
        top.clk = 1, top.eval();
    }
    top.rst = 0;
    top.m_axis_tready = 1;

    size_t place = 0;
    uint32_t left = 0;
    const auto offer_next = [&] {
        top.s_axis_tvalid = place < words.size();
        if (!top.s_axis_tvalid) return;
        if (left == 0) left = words[place++];
        top.s_axis_tdata = words[place++];
        top.s_axis_tlast = left-- == 1;
    };
    offer_next();
    const auto began = std::chrono::steady_clock::now();
    uint64_t cycles = 0;
    unsigned idle = 0;
    for (unsigned long received = 0; received < wanted || top.s_axis_tvalid; ++cycles) {
        top.clk = 0, top.eval();
        const bool taken = top.s_axis_tvalid && top.s_axis_tready;
        if (top.m_axis_tvalid) {
            const uint32_t record[2] = {top.m_axis_tlast, top.m_axis_tdata};
            std::fwrite(record, 4, 2, sink);
            received += top.m_axis_tlast;
        }
        idle = taken || top.m_axis_tvalid ? 0 : idle + 1;
        if (idle == kIdleCycles) return 1;
        top.clk = 1, top.eval();
        if (taken) offer_next();
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - began;
    std::fclose(sink);
    std::printf("%llu %.9f\n", static_cast<unsigned long long>(cycles), taken.count());
    return 0;
}
