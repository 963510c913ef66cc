// The pins of a chip, cycle by cycle: lines "count cke cs ras cas we ba a dqm dq oe" on standard input, of decimal
// numbers with the four selecting pins as they are, low when active. After each line the data pins as they are with
// the line's last rising edge.

#include <cstdio>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vtop trace(&context);
    trace.clk = 0;
    trace.eval();
    int count, cke, cs, ras, cas, we, ba, a, dqm, dq, oe;
    while (scanf("%d %d %d %d %d %d %d %d %d %d %d", &count, &cke, &cs, &ras, &cas, &we, &ba, &a, &dqm, &dq, &oe) ==
           11) {
        trace.cke = cke;
        trace.cs_n = cs;
        trace.ras_n = ras;
        trace.cas_n = cas;
        trace.we_n = we;
        trace.ba = ba;
        trace.a = a;
        trace.dqm = dqm;
        trace.dq_i = dq;
        trace.dq_oe = oe;
        while (count-- > 0) {
            trace.clk = 0;
            trace.eval();
            trace.clk = 1;
            trace.eval();
        }
        printf("%d\n", trace.dq_o);
    }
    trace.final();
    return 0;
}
