/* Reads the fields of a plan's wire form (PROTOCOL.md, section 2) from memory, one after the other. The first error stays; after it
 * every read gives zeros, so that a decoder is a plain list of its fields. */
#pragma once

#include "plan.h"

struct reader {
    const uint8_t *at, *end;
    const char *error;
    struct arena *arena;
    struct plan *plan; /* notes the slots that are named */
};

void check_plan(struct reader *r, bool good, const char *error);

/* Memory from the arena, or NULL with an error. */
void *arena_take(struct reader *r, size_t count, size_t size);

/* The next bytes as they are, or NULL with an error. */
const uint8_t *take_bytes(struct reader *r, size_t length);

uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
uint8_t read_choice(struct reader *r, uint8_t first, uint8_t last);
bool read_boolean(struct reader *r);

struct bytes read_bytes(struct reader *r, uint32_t limit);

/* A copy with a NUL at the end. Never NULL. */
char *read_string(struct reader *r, uint32_t limit);
const char *read_absolute_path(struct reader *r);
const char *read_absolute_path_or_none(struct reader *r);

/* How many items follow, each at least `smallest` bytes long. */
uint32_t read_list_count(struct reader *r, size_t smallest);

/* Ends with NULL. */
char **read_strings(struct reader *r);

uint32_t read_slot(struct reader *r);
uint32_t read_optional_slot(struct reader *r);
struct plan_path read_path(struct reader *r);
uint32_t read_namespaces(struct reader *r);
uint32_t read_attributes(struct reader *r);

/* A reader of the next `length` bytes only. */
struct reader read_section(struct reader *r, uint32_t length);

/* What went wrong, or that something is left over; NULL when all was read. */
const char *reading_error(const struct reader *r);
