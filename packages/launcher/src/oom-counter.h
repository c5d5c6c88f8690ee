/* The kernel's count of out-of-memory kills in a cgroup: v2 memory.events, v1 memory.oom_control. */
#pragma once

#include <stdint.h>

/* The number in the line `oom_kill N` of the open file; 0 where there is none. */
uint64_t read_oom_kills(int descriptor);

/* The same from memory, which ends with a NUL. */
uint64_t parse_oom_kills(const char *text);
