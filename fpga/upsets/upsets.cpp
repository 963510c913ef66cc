// Plays packets once for each upset, a bit of state that is inverted between two clock cycles.
//
// Usage: upsets WORDS RESULTS SEED KIND FIRST COUNT. WORDS is a file of pairs of uint32: last-word flag and word. KIND
// is register, lutram or blockram. Prints "bits BITS CYCLES WORDS..." for the run without an upset, and for each upset
// "NUMBER CELL CYCLE END WORDS...", where END is done or hang, and each word is 0 or 1 for last, and eight digits. Block
// RAMs are upset in rows that the run without an upset leaves other than zero.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_sym_props.h"
#include "verilated_syms.h"

struct Word {
    uint32_t last, value;
};

// A bit of state: its cell, the entry of a memory or 0, and the bit there.
struct Place {
    std::string cell;
    size_t entry;
    unsigned bit;
};

struct Outcome {
    bool hang;
    uint64_t cycles;
    std::vector<Word> words;
};

static const unsigned kQuiet = 5000;

static std::vector<std::pair<std::string, const VerilatedVar*>> variables(VerilatedContext& context,
                                                                         const std::string& kind) {
    std::vector<std::pair<std::string, const VerilatedVar*>> found;
    for (const auto& scope : *context.scopeNameMap()) {
        if (!scope.second->varsp()) continue;
        for (const auto& entry : *scope.second->varsp()) {
            const std::string name = entry.first;
            const std::string is = name == "Q" ? "register" : name == "ram" ? "lutram" : name == "rows" ? "blockram" : "";
            if (is == kind) found.emplace_back(scope.first, &entry.second);
        }
    }
    return found;
}

static uint8_t* entry_of(const VerilatedVar& variable, size_t entry) {
    return static_cast<uint8_t*>(variable.datap()) + entry * variable.entSize();
}

static size_t entries_of(const VerilatedVar& variable) { return variable.totalSize() / variable.entSize(); }

static std::vector<Place> places(VerilatedContext& context, const std::string& kind) {
    std::vector<Place> found;
    for (const auto& variable : variables(context, kind)) {
        for (size_t entry = 0; entry < entries_of(*variable.second); ++entry) {
            const uint8_t* bytes = entry_of(*variable.second, entry);
            bool used = kind != "blockram";
            for (size_t i = 0; i < variable.second->entSize(); ++i) used |= bytes[i] != 0;
            for (unsigned bit = 0; used && bit < unsigned(variable.second->entBits()); ++bit)
                found.push_back({variable.first, entry, bit});
        }
    }
    return found;
}

static void invert(VerilatedContext& context, const std::string& kind, const Place& place) {
    for (const auto& variable : variables(context, kind)) {
        if (variable.first != place.cell) continue;
        // little endian
        entry_of(*variable.second, place.entry)[place.bit / 8] ^= 1u << place.bit % 8;
    }
}

static Outcome play(VerilatedContext& context, Vtop& top, const std::vector<Word>& program, unsigned results,
                    const std::string& kind, const Place* place, uint64_t when) {
    Outcome outcome = {false, 0, {}};
    size_t sent = 0;
    unsigned quiet = 0, received = 0;
    top.s_axis_tvalid = 0, top.m_axis_tready = 1, top.rst = 1;
    for (unsigned i = 0; i < 4; ++i) top.clk = 0, top.eval(), top.clk = 1, top.eval();
    top.rst = 0;
    while (received < results) {
        top.s_axis_tvalid = sent < program.size();
        top.s_axis_tdata = sent < program.size() ? program[sent].value : 0;
        top.s_axis_tlast = sent < program.size() && program[sent].last;
        top.clk = 0, top.eval();
        if (place && outcome.cycles == when) invert(context, kind, *place), top.eval();
        const bool taken = top.s_axis_tvalid && top.s_axis_tready;
        if (top.m_axis_tvalid) {
            outcome.words.push_back({uint32_t(top.m_axis_tlast), top.m_axis_tdata});
            received += top.m_axis_tlast;
        }
        quiet = taken || top.m_axis_tvalid ? 0 : quiet + 1;
        if (quiet >= kQuiet) {
            outcome.hang = true;
            break;
        }
        top.clk = 1, top.eval();
        if (taken) ++sent;
        ++outcome.cycles;
    }
    return outcome;
}

static void print(const Outcome& outcome) {
    for (const Word& word : outcome.words) std::printf(" %u%08x", word.last, word.value);
    std::printf("\n");
    std::fflush(stdout);
}

int main(int argc, char** argv) {
    if (argc != 7) return 2;
    std::vector<Word> program;
    std::FILE* file = std::fopen(argv[1], "rb");
    if (!file) return 2;
    Word word;
    while (std::fread(&word, sizeof word, 1, file) == 1) program.push_back(word);
    std::fclose(file);
    const unsigned results = std::strtoul(argv[2], nullptr, 10), seed = std::strtoul(argv[3], nullptr, 10);
    const std::string kind = argv[4];
    const unsigned first = std::strtoul(argv[5], nullptr, 10), count = std::strtoul(argv[6], nullptr, 10);

    std::vector<Place> all;
    uint64_t cycles = 0;
    {
        VerilatedContext context;
        Vtop top(&context);
        const Outcome plain = play(context, top, program, results, kind, nullptr, 0);
        if (plain.hang) return 1;
        all = places(context, kind);
        cycles = plain.cycles;
        std::printf("bits %zu %llu", all.size(), static_cast<unsigned long long>(cycles));
        print(plain);
    }
    for (unsigned number = first; !all.empty() && number < first + count; ++number) {
        std::mt19937_64 random(seed * 1000003ull + number);
        const Place& place = all[random() % all.size()];
        const uint64_t when = random() % cycles;
        VerilatedContext context;
        Vtop top(&context);
        const Outcome outcome = play(context, top, program, results, kind, &place, when);
        std::printf("%u %s[%zu][%u] %llu %s", number, place.cell.c_str(), place.entry, place.bit,
                    static_cast<unsigned long long>(when), outcome.hang ? "hang" : "done");
        print(outcome);
    }
    return 0;
}
