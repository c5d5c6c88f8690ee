/* What went wrong, in words: a step that fails leaves errno and, where its path does not say enough, a detail. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DETAIL_LIMIT = 480 };

struct failure {
    uint32_t step;
    int error;
    char detail[DETAIL_LIMIT + 1];
};

/* The detail of the failure that is about to be returned; errno stays. The arguments end with NULL. */
void set_detail(const char *first, ...) __attribute__((sentinel));

/* Sets errno and the detail; always -1. */
int fail_with(int error, const char *detail);

/* The detail set since the last clear_detail, or "". */
const char *get_detail(void);
void clear_detail(void);

/* Copies as much of the parts (up to NULL) as fits, with a NUL. Returns the length. */
size_t join_text(char *to, size_t size, const char *first, ...) __attribute__((sentinel));

/* Decimal digits of the number, in a static buffer. */
const char *decimal(uint64_t number);
