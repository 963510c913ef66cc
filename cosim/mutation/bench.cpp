// Plays one program for each mutant, and compares the ports with those of the design without a mutant.
//
// Usage: mutants PROGRAM FIRST COUNT; prints a line for each mutant: its number, the verdict, and the last cycle:
//   words      a wrong or an additional word was received
//   hang       no activity although the program has not ended
//   timing     the same words, but different ports in some cycle
//   survived   no difference
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

enum Kind { kPlain, kFinal, kReset, kPauses, kSettle, kWait };

struct Entry {
    uint32_t kind, value;
};

// Ports in a cycle, and the word that is offered.
struct Cycle {
    uint32_t data;
    uint8_t ports;
};

static const unsigned kQuiet = 2000;
static const unsigned kSettled = 40;

static uint32_t next_random(uint32_t& state) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}

// Plays the program; with expected words, stops at the first difference.
static const char* play(const std::vector<Entry>& program, unsigned mutant, const std::vector<Cycle>* expected,
                        std::vector<Cycle>& seen, const std::vector<uint64_t>* expected_words,
                        std::vector<uint64_t>& words) {
    VerilatedContext context;
    Vtop top(&context);
    top.mutant = mutant;
    uint32_t random = 0x12345678;
    unsigned in_pause = 0, out_pause = 0, quiet = 0, settled = 0, waited = 0;
    bool timing = false;
    size_t place = 0;
    unsigned reset = 0;
    bool offered = false;
    top.s_axis_tvalid = 0, top.m_axis_tready = 0, top.rst = 0;
    while (place < program.size() || reset) {
        while (!reset && place < program.size() && (program[place].kind == kReset || program[place].kind == kPauses)) {
            const Entry& entry = program[place++];
            if (entry.kind == kReset) reset = entry.value, quiet = 0;
            if (entry.kind == kPauses) in_pause = entry.value >> 8, out_pause = entry.value & 255;
        }
        top.rst = reset > 0;
        if (reset) --reset;
        const bool sends = !top.rst && place < program.size() && program[place].kind <= kFinal;
        if (!sends) offered = false;
        if (sends && !offered) offered = next_random(random) % 100 >= in_pause;
        top.s_axis_tvalid = offered;
        top.s_axis_tdata = sends ? program[place].value : 0;
        top.s_axis_tlast = sends && program[place].kind == kFinal;
        top.m_axis_tready = !top.rst && next_random(random) % 100 >= out_pause;
        top.clk = 0, top.eval();
        const bool taken = offered && top.s_axis_tready;
        const bool given = top.m_axis_tvalid && top.m_axis_tready;
        const uint8_t ports = top.s_axis_tready | top.m_axis_tvalid << 1 | top.m_axis_tlast << 2 | top.busy << 3;
        const Cycle cycle = {top.m_axis_tvalid ? top.m_axis_tdata : 0, ports};
        if (expected) {
            const size_t now = seen.size();
            if (now < expected->size()) {
                const Cycle& other = (*expected)[now];
                timing |= other.ports != cycle.ports || other.data != cycle.data;
            } else {
                timing = true;
            }
        }
        seen.push_back(cycle);
        if (given) {
            const uint64_t word = uint64_t(top.m_axis_tlast) << 32 | top.m_axis_tdata;
            words.push_back(word);
            if (expected_words && (words.size() > expected_words->size() ||
                                   (*expected_words)[words.size() - 1] != word))
                return "words";
        }
        quiet = taken || given || top.rst ? 0 : quiet + 1;
        settled = top.busy || taken || given ? 0 : settled + 1;
        if (!top.rst && place < program.size() && program[place].kind == kSettle && settled >= kSettled) ++place;
        if (!top.rst && place < program.size() && program[place].kind == kWait && waited++ >= program[place].value)
            ++place, waited = 0;
        if (quiet >= kQuiet) return "hang";
        top.clk = 1, top.eval();
        if (taken) ++place, offered = false;
    }
    if (expected_words && words.size() != expected_words->size()) return "words";
    return timing ? "timing" : "survived";
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    std::vector<Entry> program;
    std::FILE* file = std::fopen(argv[1], "rb");
    if (!file) return 2;
    Entry entry;
    while (std::fread(&entry, sizeof entry, 1, file) == 1) program.push_back(entry);
    std::fclose(file);
    const unsigned first = std::strtoul(argv[2], nullptr, 10), count = std::strtoul(argv[3], nullptr, 10);

    std::vector<Cycle> cycles;
    std::vector<uint64_t> words;
    if (play(program, 0, nullptr, cycles, nullptr, words)[0] != 's') return 1;
    for (unsigned mutant = first; mutant < first + count; ++mutant) {
        std::vector<Cycle> seen;
        std::vector<uint64_t> given;
        const char* verdict = play(program, mutant, &cycles, seen, &words, given);
        std::printf("%u %s %zu\n", mutant, verdict, seen.size());
        std::fflush(stdout);
    }
    return 0;
}
