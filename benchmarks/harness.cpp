// Plays packets into a netlist, records what comes out, and counts how often each net changes meanwhile.
//
// Arguments: file of words in (32-bit pairs: data, last), words to load before counting, results to wait for, most
// cycles, file of words out (the same pairs), file of the counts (SAIF), and another one of the counts of their
// first cycle alone, in which every net that is 1 counts as changed.
//
// The last line of the output is the number of cycles that were counted.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_saif_c.h"

static const int kResetCycles = 4;
static const int kQuietCycles = 64;  // without a word to load, before counting begins
static const int kNetsOfTop = 2;     // levels of hierarchy: the simulator's own, and the netlist's

int main(int argc, char** argv) {
    if (argc != 8) return 2;
    const size_t loaded = strtoull(argv[2], nullptr, 10);
    size_t results = strtoull(argv[3], nullptr, 10);
    const uint64_t limit = strtoull(argv[4], nullptr, 10);
    std::ifstream in(argv[1], std::ios::binary);
    std::vector<uint32_t> words;
    for (uint32_t word; in.read(reinterpret_cast<char*>(&word), sizeof word);) words.push_back(word);
    std::ofstream out(argv[5], std::ios::binary);

    VerilatedContext context;
    context.traceEverOn(true);
    Vtop top{&context};
    VerilatedSaifC changes;
    top.trace(&changes, kNetsOfTop);
    size_t sent = 0;
    int quiet = 0;
    uint64_t counted = 0;
    for (uint64_t cycle = 0; cycle < limit && results; ++cycle) {
        context.time(cycle);
        const bool loading = sent < loaded;
        if (!loading && quiet < kQuietCycles) quiet = top.busy ? 0 : quiet + 1;
        const bool counting = quiet == kQuietCycles;
        const bool offered = cycle > kResetCycles && 2 * sent < words.size() && (loading || counting);
        top.clk = 0;
        top.rst = cycle < kResetCycles;
        top.m_axis_tready = 1;
        top.s_axis_tvalid = offered;
        if (offered) {
            top.s_axis_tdata = words[2 * sent];
            top.s_axis_tlast = words[2 * sent + 1];
        }
        top.eval();
        if (counting) {
            if (!counted) {
                changes.open(argv[7]);
                changes.dump(cycle);
                changes.close();
                changes.open(argv[6]);
            }
            changes.dump(cycle);
            ++counted;
        }
        sent += offered && top.s_axis_tready;
        if (top.m_axis_tvalid) {
            const uint32_t word[2] = {top.m_axis_tdata, top.m_axis_tlast};
            out.write(reinterpret_cast<const char*>(word), sizeof word);
            results -= top.m_axis_tlast;
        }
        top.clk = 1;
        top.eval();
    }
    changes.close();
    top.final();
    if (results) {
        fprintf(stderr, "%zu results are missing after %llu cycles\n", results, (unsigned long long)limit);
        return 1;
    }
    printf("%llu\n", (unsigned long long)counted);
    return 0;
}
