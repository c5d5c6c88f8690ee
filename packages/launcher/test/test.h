/* The least a C test needs: named checks, counted, and a last line `passed failed` for test/run. */
#pragma once

#include <stdio.h>
#include <string.h>

static int passed_count, failed_count;

static inline void report_check(int good, const char *what, const char *file, int line)
{
    if (good) {
        passed_count++;
        return;
    }
    failed_count++;
    printf("not ok - %s (%s:%d)\n", what, file, line);
}

#define CHECK(condition) report_check(!!(condition), #condition, __FILE__, __LINE__)
#define CHECK_NAMED(condition, name) report_check(!!(condition), name, __FILE__, __LINE__)
#define CHECK_TEXT(actual, expected)                                                                                  \
    do {                                                                                                               \
        const char *actual_ = (actual), *expected_ = (expected);                                                       \
        int same_ = strcmp(actual_, expected_) == 0;                                                                   \
        report_check(same_, #actual " is as expected", __FILE__, __LINE__);                                            \
        if (!same_)                                                                                                    \
            printf("#   expected: %s\n#   actual:   %s\n", expected_, actual_);                                        \
    } while (0)

static inline int finish_tests(void)
{
    printf("%d passed, %d failed\n", passed_count, failed_count);
    return failed_count ? 1 : 0;
}
