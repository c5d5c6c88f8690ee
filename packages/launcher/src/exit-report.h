/* How the process ended: PROTOCOL.md, sections 3 and 6. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { EXIT_REPORT_SIZE = 22, EXIT_FILE_SIZE = 38 };

struct exit_report {
    bool signalled;
    uint32_t code; /* or signal */
    bool oom_killed;
    uint64_t started_ns, finished_ns;
};

void encode_exit_report(const struct exit_report *report, uint8_t to[EXIT_REPORT_SIZE]);
void encode_exit_file(uint32_t pid, const struct exit_report *report, uint8_t to[EXIT_FILE_SIZE]);

/* Writes the file `name` in the directory, durably and all or nothing. Returns -1 with errno. */
int write_exit_file(int directory, const char *name, uint32_t pid, const struct exit_report *report);
