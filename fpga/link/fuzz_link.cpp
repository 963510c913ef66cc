// Sends valid and broken frames and garbage to the board's end of the line, and compares it with a reference.
//
//     fuzz_link FRAMES SEED BUFFER_WORDS
//
// Prints the figures as JSON; after an error, prints the error and ends with status 1.

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr uint8_t kEnd = 0xC0, kEscape = 0xDB, kEscapedEnd = 0xDC, kEscapedEscape = 0xDD;
constexpr unsigned kHello = 1, kData = 2, kState = 3;
constexpr unsigned kPositions = 4096;
constexpr unsigned kHelloWords = 12;
constexpr unsigned kLongestReply = 128 + kHelloWords + 2;
constexpr int kFramesPerCheck = 500;
constexpr int kPatience = 200000;

using Words = std::vector<uint32_t>;

// A byte, or one without its stop bit.
struct Symbol {
    uint8_t byte;
    bool broken = false;
};
using Symbols = std::vector<Symbol>;

std::array<uint32_t, 256> crc_table() {
    std::array<uint32_t, 256> table;
    for (uint32_t byte = 0; byte < table.size(); ++byte) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        table[byte] = crc;
    }
    return table;
}

uint32_t crc_of(const std::vector<uint8_t>& bytes, size_t count) {
    static const std::array<uint32_t, 256> kTable = crc_table();
    uint32_t crc = ~0u;
    for (size_t i = 0; i < count; ++i) crc = crc >> 8 ^ kTable[(crc ^ bytes[i]) & 255];
    return ~crc;
}

// The words of what stood between two ENDs, without the check; false if it is damaged.
bool decode(const Symbols& body, Words& words) {
    std::vector<uint8_t> plain;
    bool escaped = false;
    for (const Symbol& symbol : body) {
        if (symbol.broken) return false;
        if (escaped) {
            if (symbol.byte != kEscapedEnd && symbol.byte != kEscapedEscape) return false;
            plain.push_back(symbol.byte == kEscapedEnd ? kEnd : kEscape);
            escaped = false;
        } else if (symbol.byte == kEscape) {
            escaped = true;
        } else {
            plain.push_back(symbol.byte);
        }
    }
    if (escaped || plain.size() % 4 || plain.size() < 4) return false;
    words.clear();
    for (size_t i = 0; i < plain.size(); i += 4)
        words.push_back(plain[i] | plain[i + 1] << 8 | plain[i + 2] << 16 | uint32_t(plain[i + 3]) << 24);
    const uint32_t check = words.back();
    words.pop_back();
    return check == crc_of(plain, plain.size() - 4);
}

// Words as a frame; ``extra`` bytes more, within the check, make it one that is no whole words.
Symbols encode(const Words& words, unsigned extra = 0) {
    std::vector<uint8_t> plain;
    for (uint32_t word : words)
        for (int i = 0; i < 4; ++i) plain.push_back(word >> 8 * i);
    plain.insert(plain.end(), extra, 0x55);
    const uint32_t check = crc_of(plain, plain.size());
    for (int i = 0; i < 4; ++i) plain.push_back(check >> 8 * i);
    Symbols symbols{{kEnd}};
    for (uint8_t byte : plain) {
        if (byte == kEnd || byte == kEscape) symbols.push_back({kEscape});
        symbols.push_back({byte == kEnd ? kEscapedEnd : byte == kEscape ? kEscapedEscape : byte});
    }
    symbols.push_back({kEnd});
    return symbols;
}

struct Control {
    unsigned kind = 0, last = 0, again = 0, reserved = 0, sequence = 0, acknowledge = 0, limit = 0, size = 7,
             session = 0;

    static Control of(uint32_t low, uint32_t high) {
        Control c;
        c.kind = low & 15, c.last = low >> 4 & 1, c.again = low >> 5 & 1, c.reserved = low >> 6 & 3;
        c.sequence = low >> 8 & 0xFFF, c.acknowledge = low >> 20;
        c.limit = high & 0xFFF, c.size = high >> 12 & 15, c.session = high >> 16;
        return c;
    }

    void append_to(Words& words) const {
        words.push_back(kind | last << 4 | again << 5 | reserved << 6 | sequence << 8 | acknowledge << 20);
        words.push_back(limit | size << 12 | session << 16);
    }
};

class Fuzzer {
  public:
    Fuzzer(uint64_t seed, unsigned buffer_words) : depth_(buffer_words), random_(seed) {
        link_.rst = 1;
        for (int i = 0; i < 4; ++i) cycle();
        link_.rst = 0;
    }

    void run(uint64_t frames) {
        while (frames_ < frames) {
            // the accelerator may stop or go on only between frames, so that it is known what finds room
            if (body_.empty()) frozen_ = chance(0.3);
            send(next_symbols());
            if (++since_check_ >= kFramesPerCheck) check();
        }
        check();
    }

    void print(double seconds) const {
        printf(
            "{\"ok\": true, \"frames\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"taken\": %" PRIu64
            ", \"damaged\": %u, \"refused\": %u, \"overruns\": %u, \"sessions\": %" PRIu64 ", \"words\": %" PRIu64
            ", \"answers\": %" PRIu64 ", \"result_words\": %" PRIu64 ", \"cycles\": %" PRIu64 ", \"seconds\": %.1f}\n",
            frames_, bytes_, taken_frames_, damaged_, refused_, overruns_, sessions_, words_, answers_, result_words_,
            cycles_, seconds);
    }

  private:
    // -- chance ------------------------------------------------------------------------------------------------

    unsigned below(unsigned limit) { return random_() % limit; }
    bool chance(double share) { return (random_() >> 11) * 0x1p-53 < share; }
    uint32_t any_word() {
        static constexpr std::array<uint32_t, 5> kSpecial{0xC0C0C0C0, 0xDBDBDBDB, 0xDDDCDBC0, 0, ~0u};
        return chance(0.2) ? kSpecial[below(kSpecial.size())] : uint32_t(random_());
    }

    // -- the wire ----------------------------------------------------------------------------------------------

    [[noreturn]] void fail(const std::string& what) {
        printf("after %" PRIu64 " frames, %" PRIu64 " cycles: %s\n", frames_, cycles_, what.c_str());
        exit(1);
    }

    // What the accelerator sends at a position of an epoch.
    static uint32_t result_word(uint64_t epoch, uint64_t position) {
        uint64_t mixed = (epoch * 0x9E3779B97F4A7C15u) ^ (position * 0xBF58476D1CE4E5B9u);
        mixed ^= mixed >> 29;
        return uint32_t(mixed * 0x94D049BB133111EBu >> 32);
    }

    void cycle() {
        link_.sink_ready = !frozen_ && chance(0.7);
        link_.source_valid = source_valid_;
        link_.source_payload = result_word(epoch_, written_) | uint64_t(written_ % 7 == 6) << 32;
        link_.o_ready = chance(0.4);
        link_.clk = 0;
        link_.eval();
        const bool delivered = link_.sink_valid && link_.sink_ready;
        const uint64_t word = link_.sink_payload;
        const bool given = link_.source_valid && link_.source_ready;
        const bool answered = link_.o_valid && link_.o_ready;
        const uint8_t answer = link_.o_payload;
        const bool restart = link_.restart;
        link_.clk = 1;
        link_.eval();
        ++cycles_;
        if (link_.rst) return;
        if (restart) {
            if (!restart_due_) fail("a restart that nobody asked for");
            restart_due_ = false;
            ++epoch_;
            queue_.clear();
            taken_ = written_ = base_ = base_before_ = base_opened_ = 0;
            source_valid_ = false;
        } else {
            if (delivered) {
                if (queue_.empty()) fail("a word is delivered that no frame has");
                if (queue_.front() != word) fail("a wrong word is delivered");
                queue_.pop_front();
                ++taken_;
                ++words_;
            }
            if (given) ++written_;
            if (given || !source_valid_) source_valid_ = chance(0.1);
        }
        if (answered) hear(answer);
    }

    void send(const Symbols& symbols) {
        for (const Symbol& symbol : symbols) {
            link_.i_payload = symbol.byte | symbol.broken << 8;
            link_.i_valid = 1;
            const bool over = symbol.byte == kEnd && !symbol.broken;
            if (over) judge();
            else body_.push_back(symbol);
            ++bytes_;
            cycle();
            link_.i_valid = 0;
            for (unsigned gap = (over ? 10 : 3) + (chance(0.1) ? below(20) : 0); gap; --gap) cycle();
            if (restart_due_) fail("a new session without a restart");
        }
    }

    // -- what the board must make of a frame -------------------------------------------------------------------

    void judge() {
        if (body_.empty()) return;
        ++frames_;
        Words words;
        const bool whole = decode(body_, words) && words.size() >= 2;
        body_.clear();
        if (!whole) {
            ++damaged_;
            return;
        }
        const Control control = Control::of(words[words.size() - 2], words.back());
        words.resize(words.size() - 2);
        const bool mine = session_ && control.session == session_;
        const bool lost = queue_.size() + words.size() > depth_;
        if (control.kind == kHello && control.session) {
            if (mine) return;
            session_ = control.session;
            received_ = 0;
            restart_due_ = true;
            ++sessions_;
        } else if (mine && (control.kind == kData || control.kind == kState)) {
            // words that were never there cannot be acknowledged
            const unsigned claimed = (control.acknowledge - base_) % kPositions;
            if (claimed <= written_ - base_) base_ += claimed;
            if (control.kind == kState) return;
            if (control.sequence != received_ % kPositions || words.empty() || lost) {
                ++refused_;
                overruns_ += lost;
                return;
            }
            received_ += words.size();
            ++taken_frames_;
            for (size_t i = 0; i < words.size(); ++i)
                queue_.push_back(words[i] | uint64_t(control.last && i + 1 == words.size()) << 32);
        } else {
            ++refused_;
        }
    }

    // -- frames of the board -----------------------------------------------------------------------------------

    void hear(uint8_t byte) {
        if (byte != kEnd) {
            answer_.push_back({byte});
            if (answer_.size() > 8 * (kLongestReply + 1)) fail("an answer without end");
            return;
        }
        if (answer_.empty()) {
            base_before_ = base_opened_;
            base_opened_ = base_;
            return;
        }
        Words words;
        if (!decode(answer_, words) || words.size() < 2) fail("the board sent a damaged frame");
        answer_.clear();
        ++answers_;
        const Control control = Control::of(words[words.size() - 2], words.back());
        words.resize(words.size() - 2);
        if (control.session != session_ || restart_due_) return;
        if ((received_ - control.acknowledge) % kPositions > depth_) fail("an acknowledgement out of range");
        if ((taken_ + depth_ - control.limit) % kPositions > depth_) fail("a limit out of range");
        // what is sent may have been acknowledged meanwhile, but not before the answer before this one opened
        if ((control.sequence - base_before_) % kPositions > written_ - base_before_) fail("a sequence out of range");
        acknowledged_ = control.acknowledge;
        missed_ |= control.again;
        if (control.kind == kHello) {
            if (words.size() != kHelloWords) fail("a HELLO of a wrong length");
            hello_ = words;
        } else if (control.kind == kData) {
            hear_results(control, words);
        } else if (control.kind != kState || !words.empty()) {
            fail("an answer of no kind");
        }
    }

    void hear_results(const Control& control, const Words& words) {
        for (size_t i = 0; i < words.size(); ++i) {
            const unsigned ahead = (control.sequence + i - base_) % kPositions;
            // the host has acknowledged these meanwhile, and they may be gone
            if (ahead >= written_ - base_) continue;
            const uint64_t position = base_ + ahead;
            if (words[i] != result_word(epoch_, position)) fail("a wrong word from the accelerator");
            if ((position % 7 == 6) != (control.last && i + 1 == words.size())) fail("a wrong end of a packet");
            ++result_words_;
            if (position == heard_) ++heard_;
        }
    }

    // -- what is sent ------------------------------------------------------------------------------------------

    Words frame_words(Control control, unsigned count) {
        Words words;
        for (unsigned i = 0; i < count; ++i) words.push_back(any_word());
        control.append_to(words);
        return words;
    }

    Control usual(unsigned kind) {
        Control control;
        control.kind = kind;
        control.sequence = received_ % kPositions;
        control.session = session_;
        control.size = below(9);
        control.acknowledge = (base_ + (chance(0.3) ? below(unsigned(written_ - base_) + 1) : 0)) % kPositions;
        control.again = chance(0.1);
        return control;
    }

    Symbols valid_frame() {
        const unsigned room = depth_ - queue_.size();
        unsigned count = 1 + below(24);
        if (!frozen_ && count > room) count = room;
        Control control = usual(kData);
        control.last = chance(0.3);
        switch (below(20)) {
            case 0: control.sequence = below(kPositions); break;
            case 1: control.sequence = (control.sequence + kPositions - 1 - below(40)) % kPositions; break;
            case 2: control.session = below(1 << 16); break;
            case 3: control.kind = below(16); break;
            case 4: control.reserved = below(4); control.limit = below(kPositions); break;
            case 5: control.acknowledge = below(kPositions); break;
            case 6: control.session = 0; break;
            case 7: case 8: control.kind = kState, count = 0; break;
            case 9: count = 0; break;
            case 10: if (chance(0.1)) control.kind = kHello, control.session = below(1 << 16); break;
            case 11: control.kind = kHello, count = chance(0.5) ? 0 : count; break;
            case 12: if (frozen_) count = room + below(3); break;
            case 13: return encode(frame_words(control, count), chance(0.2) ? 1 + below(3) : 0);
            default: break;
        }
        return encode(frame_words(control, count));
    }

    Symbols garbage() {
        Symbols symbols;
        static constexpr std::array<uint8_t, 5> kSpecial{kEnd, kEscape, kEscapedEnd, kEscapedEscape, 0};
        for (unsigned left = below(60); left; --left)
            symbols.push_back({chance(0.2) ? kSpecial[below(kSpecial.size())] : uint8_t(random_()), chance(0.02)});
        return symbols;
    }

    void mutate(Symbols& symbols) {
        for (unsigned left = 1 + below(3); left && !symbols.empty(); --left) {
            const unsigned place = below(symbols.size());
            const auto at = symbols.begin() + place;
            switch (below(8)) {
                case 0: at->byte ^= 1 << below(8); break;
                case 1: at->byte = random_(); break;
                case 2: symbols.erase(at); break;
                case 3: symbols.insert(at, *at); break;
                case 4: at->broken = true; break;
                case 5: symbols.resize(place); break;
                case 6: std::swap(*at, symbols[below(symbols.size())]); break;
                default: at->byte = chance(0.5) ? kEnd : kEscape; break;
            }
        }
    }

    Symbols next_symbols() {
        const unsigned drawn = below(100);
        if (drawn < 5) return garbage();
        if (drawn < 10 && frozen_ && !history_.empty()) return history_[below(history_.size())];
        Symbols symbols = valid_frame();
        if (history_.size() < 64) history_.push_back(symbols);
        else history_[below(64)] = symbols;
        if (drawn >= 60) mutate(symbols);
        if (drawn >= 95) {
            const Symbols second = valid_frame();
            symbols.resize(below(symbols.size() + 1));
            symbols.insert(symbols.end(), second.begin() + below(second.size()), second.end());
        }
        return symbols;
    }

    // -- after a while, all must be well -----------------------------------------------------------------------

    template <typename Condition>
    void wait_for(Condition condition, const char* what) {
        for (int left = kPatience; !condition(); --left) {
            if (!left) fail(what);
            cycle();
        }
    }

    void rest(int cycles) {
        while (cycles--) cycle();
    }

    void check() {
        since_check_ = 0;
        frozen_ = false;
        send({{kEnd}});
        if (!session_) {
            Control control = usual(kHello);
            control.session = 1 + below((1 << 16) - 1);
            send(encode(frame_words(control, 0)));
        }
        wait_for([&] { return queue_.empty(); }, "words that were taken are not delivered");
        rest(kPatience / 50);

        hello_.clear();
        send(encode(frame_words(usual(kHello), 0)));
        wait_for([&] { return !hello_.empty(); }, "no answer to a HELLO");
        if (hello_[0] != 0x00025153) fail("a wrong magic or version");
        const std::array<uint32_t, 3> counters{hello_[8], hello_[9], hello_[10]};
        if (counters != std::array<uint32_t, 3>{damaged_, refused_, overruns_}) fail("a wrong counter");

        missed_ = false;
        Control gap = usual(kData);
        gap.sequence = (gap.sequence + 1 + below(kPositions / 2 - 1)) % kPositions;
        send(encode(frame_words(gap, 3)));
        wait_for([&] { return missed_; }, "words that are missing are not asked for");

        Control control = usual(kData);
        control.again = 0;
        send(encode(frame_words(control, 20)));
        wait_for([&] { return queue_.empty() && acknowledged_ == received_ % kPositions; }, "a good frame is not taken");

        // all words that the accelerator has sent arrive when the host requests them in order
        heard_ = base_;
        const uint64_t wanted = written_;
        for (int tries = 0; heard_ < wanted; ++tries) {
            if (tries > 100) fail("words of the accelerator do not arrive");
            Control ask = usual(kState);
            ask.acknowledge = heard_ % kPositions;
            ask.again = 1;
            ask.size = 7;
            send(encode(frame_words(ask, 0)));
            rest(2000);
        }
        Control thanks = usual(kState);
        thanks.acknowledge = heard_ % kPositions;
        send(encode(frame_words(thanks, 0)));
        wait_for([&] { return written_ > wanted; }, "words of the accelerator are not taken");
    }

    const unsigned depth_;
    std::mt19937_64 random_;
    Vtop link_;

    Symbols body_, answer_;
    std::vector<Symbols> history_;
    std::deque<uint64_t> queue_;
    Words hello_;
    bool frozen_ = false, source_valid_ = false, restart_due_ = false, missed_ = false;
    unsigned session_ = 0, acknowledged_ = 0;
    uint64_t received_ = 0, taken_ = 0, written_ = 0, base_ = 0, heard_ = 0, epoch_ = 0;
    // base_ when the answer that is under way opened, and the one before it
    uint64_t base_opened_ = 0, base_before_ = 0;

    uint32_t damaged_ = 0, refused_ = 0, overruns_ = 0;
    uint64_t frames_ = 0, bytes_ = 0, taken_frames_ = 0, sessions_ = 0, words_ = 0, answers_ = 0, result_words_ = 0,
             cycles_ = 0;
    int since_check_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s FRAMES SEED BUFFER_WORDS\n", argv[0]);
        return 2;
    }
    timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    Fuzzer fuzzer(strtoull(argv[2], nullptr, 10), atoi(argv[3]));
    fuzzer.run(strtoull(argv[1], nullptr, 10));
    clock_gettime(CLOCK_MONOTONIC, &end);
    fuzzer.print(end.tv_sec - begin.tv_sec + 1e-9 * (end.tv_nsec - begin.tv_nsec));
    return 0;
}
