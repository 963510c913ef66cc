// Test bench that sends packets to a memory with a model of its chip, and receives packets.
//
//     bench WORDS_IN WORDS_OUT PACKETS PERIOD MEMORY_PERIOD STALL_IN STALL_OUT SEED QUIET_CYCLES
//
// Both files hold 64-bit words, low byte first: data in bits 0..31, bit 32 set on the last word of a packet. In
// WORDS_IN, a word with bit 33 waits until the memory is idle; one with bit 34 begins a new session, which WORDS_OUT
// shows by a word with bit 34. PERIODs are those of the two clocks, in ps. STALLs are shares of the cycles in which a
// stream pauses. The program ends when all words are sent and PACKETS packets of the last session are received, or with
// status 1 when no word moves for QUIET_CYCLES. It prints figures as JSON on standard output.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr uint64_t kLast = 1ull << 32, kWait = 1ull << 33, kRestart = 1ull << 34;
constexpr uint64_t kStillCycles = 300;

std::vector<uint64_t> load(const char* name) {
    std::vector<uint64_t> words;
    FILE* file = fopen(name, "rb");
    if (!file) {
        perror(name);
        exit(2);
    }
    uint64_t word;
    while (fread(&word, sizeof word, 1, file) == 1) words.push_back(word);
    fclose(file);
    return words;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 10) {
        fprintf(stderr, "usage: bench WORDS_IN WORDS_OUT PACKETS PERIOD MEMORY_PERIOD STALL_IN STALL_OUT SEED "
                        "QUIET_CYCLES\n");
        return 2;
    }
    const std::vector<uint64_t> in = load(argv[1]);
    FILE* out = fopen(argv[2], "wb");
    const uint64_t packets = strtoull(argv[3], nullptr, 10);
    const uint64_t periods[] = {strtoull(argv[4], nullptr, 10), strtoull(argv[5], nullptr, 10)};
    const double stall_in = atof(argv[6]), stall_out = atof(argv[7]);
    std::mt19937_64 random(strtoull(argv[8], nullptr, 10));
    const uint64_t quiet_cycles = strtoull(argv[9], nullptr, 10);
    std::uniform_real_distribution<double> share;

    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vtop bench(&context);
    uint64_t halves[] = {periods[0] / 2, periods[1] / 2};
    uint64_t next[] = {halves[0], halves[1]};
    uint64_t memory_cycles = 0, quiet = 0, came = 0;
    uint64_t first_columns = 0, first_memory = 0, last_memory = 0, last_columns = 0;
    size_t place = 0;
    bench.clk = bench.memory_clk = 0;
    bench.i_valid = bench.o_ready = bench.restart = 0;
    bench.eval();
    while (place < in.size() || came < packets) {
        // the memory's clock first where both change at once
        const int which = next[1] <= next[0] ? 1 : 0;
        next[which] += halves[which];
        if (which) {
            bench.memory_clk = !bench.memory_clk;
            memory_cycles += bench.memory_clk;
            bench.eval();
            continue;
        }
        if (bench.clk) {
            bench.clk = 0;
            bench.eval();
            continue;
        }
        // what the rising edge will find
        const bool taken = bench.i_valid && bench.i_ready;
        const bool given = bench.o_valid && bench.o_ready;
        if (given) {
            const uint64_t word = bench.o_data | (bench.o_last ? kLast : 0);
            fwrite(&word, sizeof word, 1, out);
            came += bench.o_last;
            last_memory = memory_cycles;
            last_columns = bench.columns;
        }
        bench.clk = 1;
        bench.eval();
        quiet = taken || given ? 0 : quiet + 1;
        if (taken) ++place;
        bench.restart = 0;
        if (place < in.size() && in[place] & kRestart && (!bench.i_valid || taken)) {
            fwrite(&kRestart, sizeof kRestart, 1, out);
            bench.restart = 1;
            came = 0;
            ++place;
        }
        if (place < in.size() && in[place] & kWait && quiet > kStillCycles && !bench.busy) {
            ++place;
            quiet = 0;
            // figures are counted from the last wait
            first_memory = memory_cycles;
            first_columns = bench.columns;
        }
        if (quiet > quiet_cycles) {
            fprintf(stderr, "nothing has moved for %llu cycles: %zu of %zu words in, %llu of %llu packets out\n",
                    (unsigned long long)quiet, place, in.size(), (unsigned long long)came,
                    (unsigned long long)packets);
            return 1;
        }
        if (!bench.i_valid || taken) {
            const bool some = place < in.size() && !(in[place] & (kWait | kRestart));
            bench.i_valid = some && share(random) >= stall_in;
            if (some) {
                bench.i_data = in[place];
                bench.i_last = !!(in[place] & kLast);
            }
        }
        bench.o_ready = share(random) >= stall_out;
        bench.eval();
    }
    fclose(out);
    printf("{\"memory_cycles\": %llu, \"columns\": %llu, \"all_memory_cycles\": %llu, "
           "\"activates\": %u, \"reads\": %u, \"writes\": %u, \"refreshes\": %u, \"violations\": %u}\n",
           (unsigned long long)(last_memory - first_memory), (unsigned long long)(last_columns - first_columns),
           (unsigned long long)memory_cycles, bench.activates, bench.reads, bench.writes, bench.refreshes,
           bench.violations);
    bench.final();
    return 0;
}
