// Valgrind's client requests, for a program in another language: what is simulated, from when, and
// where one kernel's counts end. Outside Valgrind they do nothing.
#include <valgrind/callgrind.h>

extern "C" {
int control_simulated() { return RUNNING_ON_VALGRIND; }
void control_begin() { CALLGRIND_START_INSTRUMENTATION; }
void control_zero() { CALLGRIND_ZERO_STATS; }
void control_dump(const char* name) { CALLGRIND_DUMP_STATS_AT(name); }
void control_end() { CALLGRIND_STOP_INSTRUMENTATION; }
}
