// Simulation of a board, with the serial pins of its top on a pseudo-terminal.
//
//     virtual_board LINK CYCLES_PER_BIT SECONDS CORRUPT DROP SEED
//
// LINK becomes a symbolic link to the terminal; "ready" on standard output reports that it exists. The program ends
// at the end of standard input, or after SECONDS. "cut N" on standard input removes the terminal for N milliseconds.
// CORRUPT and DROP are shares of the bytes, both ways, that the line changes or drops. The clock stops while the line
// and the accelerator are idle.

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <random>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr size_t kQueueBytes = 1 << 16;
constexpr int kCyclesPerPoll = 512;
constexpr int kIdlePolls = 64;
constexpr int kRestMilliseconds = 50;

double now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

void fail(const char* what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

// The host's side of the line. What finds a full queue is lost, as on a real one.
class Terminal {
  public:
    explicit Terminal(std::string link) : link_(std::move(link)) { open(); }

    void open() {
        master_ = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
        if (master_ < 0 || grantpt(master_) || unlockpt(master_)) fail("pseudo-terminal");
        // held open here too, so that the terminal outlives its hosts
        slave_ = ::open(ptsname(master_), O_RDWR | O_NOCTTY);
        if (slave_ < 0) fail("pseudo-terminal");
        termios settings;
        tcgetattr(slave_, &settings);
        cfmakeraw(&settings);
        tcsetattr(slave_, TCSANOW, &settings);
        const std::string fresh = link_ + ".new";
        unlink(fresh.c_str());
        if (symlink(ptsname(master_), fresh.c_str()) || rename(fresh.c_str(), link_.c_str())) fail(link_.c_str());
    }

    void close() {
        unlink(link_.c_str());
        ::close(slave_);
        ::close(master_);
        master_ = -1;
        to_host_.clear();
        to_board_.clear();
    }

    bool is_open() const { return master_ >= 0; }
    int descriptor() const { return master_; }
    bool idle() const { return to_board_.empty() && to_host_.empty(); }

    void exchange() {
        if (!is_open()) return;
        uint8_t bytes[4096];
        if (to_board_.size() < kQueueBytes) {
            const ssize_t count = read(master_, bytes, sizeof bytes);
            for (ssize_t i = 0; i < count; ++i) to_board_.push_back(bytes[i]);
        }
        while (!to_host_.empty()) {
            size_t count = 0;
            while (count < sizeof bytes && count < to_host_.size()) bytes[count] = to_host_[count], ++count;
            const ssize_t written = write(master_, bytes, count);
            if (written <= 0) break;
            to_host_.erase(to_host_.begin(), to_host_.begin() + written);
        }
    }

    bool take(uint8_t& byte) {
        if (to_board_.empty()) return false;
        byte = to_board_.front();
        to_board_.pop_front();
        return true;
    }

    void give(uint8_t byte) {
        if (is_open() && to_host_.size() < kQueueBytes) to_host_.push_back(byte);
    }

  private:
    std::string link_;
    int master_ = -1, slave_ = -1;
    std::deque<uint8_t> to_board_, to_host_;
};

class Noise {
  public:
    Noise(double corrupt, double drop, uint64_t seed) : corrupt_(corrupt), drop_(drop), random_(seed) {}

    // False if the byte is lost.
    bool pass(uint8_t& byte) {
        const double drawn = share_(random_);
        if (drawn < drop_) return false;
        if (drawn < drop_ + corrupt_) byte ^= 1 + random_() % 255;
        return true;
    }

  private:
    double corrupt_, drop_;
    std::mt19937_64 random_;
    std::uniform_real_distribution<double> share_;
};

// Bytes to a pin: a start bit, eight bits, a stop bit.
class Driver {
  public:
    Driver(int cycles_per_bit, Terminal& terminal, Noise& noise)
        : cycles_per_bit_(cycles_per_bit), terminal_(terminal), noise_(noise) {}

    bool idle() const { return bits_ == 0; }

    bool step() {
        if (bits_ == 0) {
            uint8_t byte;
            if (!terminal_.take(byte) || !noise_.pass(byte)) return true;
            shifter_ = 0x200 | byte << 1;
            bits_ = 10;
            timer_ = cycles_per_bit_;
        }
        const bool level = shifter_ & 1;
        if (--timer_ == 0) {
            timer_ = cycles_per_bit_;
            shifter_ >>= 1;
            --bits_;
        }
        return level;
    }

  private:
    int cycles_per_bit_;
    Terminal& terminal_;
    Noise& noise_;
    int bits_ = 0, timer_ = 0, shifter_ = 0;
};

// A pin to bytes, sampled in the middle of each bit.
class Sampler {
  public:
    Sampler(int cycles_per_bit, Terminal& terminal, Noise& noise)
        : cycles_per_bit_(cycles_per_bit), terminal_(terminal), noise_(noise) {}

    bool idle() const { return bits_ == 0; }

    void step(bool level) {
        if (bits_ == 0) {
            if (level) return;
            bits_ = 10;
            timer_ = cycles_per_bit_ / 2;
            shifter_ = 0;
        }
        if (--timer_ > 0) return;
        timer_ = cycles_per_bit_;
        shifter_ = shifter_ >> 1 | level << 9;
        if (--bits_ == 0 && (shifter_ & 0x200)) {
            uint8_t byte = shifter_ >> 1;
            if (noise_.pass(byte)) terminal_.give(byte);
        }
    }

  private:
    int cycles_per_bit_;
    Terminal& terminal_;
    Noise& noise_;
    int bits_ = 0, timer_ = 0, shifter_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: %s LINK CYCLES_PER_BIT SECONDS CORRUPT DROP SEED\n", argv[0]);
        return 2;
    }
    const int cycles_per_bit = atoi(argv[2]);
    const double deadline = now() + atof(argv[3]);
    Noise noise(atof(argv[4]), atof(argv[5]), strtoull(argv[6], nullptr, 10));
    Terminal terminal(argv[1]);
    Driver driver(cycles_per_bit, terminal, noise);
    Sampler sampler(cycles_per_bit, terminal, noise);
    VerilatedContext context;
    Vtop board(&context);
    printf("ready\n");
    fflush(stdout);

    std::string command;
    double back_at = 0;
    for (int idle_polls = 0; now() < deadline;) {
        const bool resting = idle_polls > kIdlePolls;
        pollfd watched[] = {{STDIN_FILENO, POLLIN, 0}, {terminal.descriptor(), POLLIN, 0}};
        poll(watched, terminal.is_open() ? 2 : 1, resting ? kRestMilliseconds : 0);
        if (watched[0].revents) {
            char letter;
            if (read(STDIN_FILENO, &letter, 1) != 1) break;
            command += letter;
            int milliseconds;
            if (letter == '\n') {
                if (sscanf(command.c_str(), "cut %d", &milliseconds) == 1 && terminal.is_open()) {
                    terminal.close();
                    back_at = now() + 1e-3 * milliseconds;
                }
                command.clear();
            }
        }
        if (!terminal.is_open() && now() > back_at) terminal.open();
        terminal.exchange();
        if (resting && terminal.idle()) continue;

        bool busy = false;
        for (int cycle = 0; cycle < kCyclesPerPoll; ++cycle) {
            board.rx = driver.step();
            board.clk = 0;
            board.eval();
            board.clk = 1;
            board.eval();
            sampler.step(board.tx);
            busy |= !driver.idle() || !sampler.idle() || board.led_1;
        }
        idle_polls = busy || !terminal.idle() ? 0 : idle_polls + 1;
    }
    board.final();
    return 0;
}
