#include "plan-reader.h"

#include <string.h>

void *arena_take(struct reader *r, size_t count, size_t size)
{
    struct arena *arena = r->arena;
    size_t aligned = (arena->used + 7) & ~(size_t)7, total;

    if (__builtin_mul_overflow(count, size, &total) || aligned > arena->size || total > arena->size - aligned) {
        if (!r->error)
            r->error = "too large";
        return NULL;
    }
    arena->used = aligned + total;
    return arena->start + aligned;
}

static size_t bytes_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

const uint8_t *take_bytes(struct reader *r, size_t length)
{
    const uint8_t *taken = r->at;

    if (r->error || bytes_left(r) < length) {
        if (!r->error)
            r->error = "ends too early";
        r->at = r->end;
        return NULL;
    }
    r->at += length;
    return taken;
}

static uint64_t read_number(struct reader *r, size_t length)
{
    const uint8_t *bytes = take_bytes(r, length);
    uint64_t value = 0;

    for (size_t i = 0; bytes && i < length; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

uint8_t read_u8(struct reader *r) { return (uint8_t)read_number(r, 1); }
uint16_t read_u16(struct reader *r) { return (uint16_t)read_number(r, 2); }
uint32_t read_u32(struct reader *r) { return (uint32_t)read_number(r, 4); }
uint64_t read_u64(struct reader *r) { return read_number(r, 8); }

void check_plan(struct reader *r, bool good, const char *error)
{
    if (!good && !r->error)
        r->error = error;
}

uint8_t read_choice(struct reader *r, uint8_t first, uint8_t last)
{
    uint8_t value = read_u8(r);

    check_plan(r, value >= first && value <= last, "a value is out of its range");
    return value;
}

bool read_boolean(struct reader *r)
{
    return read_choice(r, 0, 1);
}

struct bytes read_bytes(struct reader *r, uint32_t limit)
{
    uint32_t length = read_u32(r);

    check_plan(r, length <= limit, "a field is too long");
    struct bytes value = {take_bytes(r, length), length};
    if (r->error)
        value.length = 0;
    return value;
}

char *read_string(struct reader *r, uint32_t limit)
{
    static char empty[1];
    struct bytes value = read_bytes(r, limit);

    if (value.length && memchr(value.data, 0, value.length))
        check_plan(r, false, "a string holds a NUL");
    char *copy = arena_take(r, (size_t)value.length + 1, 1);
    if (r->error || !copy)
        return empty;
    if (value.length)
        memcpy(copy, value.data, value.length);
    copy[value.length] = 0;
    return copy;
}

const char *read_absolute_path(struct reader *r)
{
    const char *path = read_string(r, PATH_LIMIT);

    check_plan(r, path[0] == '/', "a path is not absolute");
    return path;
}

const char *read_absolute_path_or_none(struct reader *r)
{
    const char *path = read_string(r, PATH_LIMIT);

    check_plan(r, path[0] == '/' || path[0] == 0, "a path is not absolute");
    return path;
}

uint32_t read_list_count(struct reader *r, size_t smallest)
{
    uint32_t count = read_u32(r);

    check_plan(r, count <= bytes_left(r) / smallest, "a list is longer than its step");
    return r->error ? 0 : count;
}

char **read_strings(struct reader *r)
{
    uint32_t count = read_list_count(r, 4);
    char **list = arena_take(r, (size_t)count + 1, sizeof *list);

    for (uint32_t i = 0; list && i < count; i++)
        list[i] = read_string(r, PLAN_LIMIT);
    if (list)
        list[count] = NULL;
    return list;
}

uint32_t read_slot(struct reader *r)
{
    uint32_t value = read_u32(r);

    check_plan(r, value < SLOT_LIMIT, "a slot is not in 0-1023");
    if (!r->error)
        r->plan->slots[value / 8] |= (uint8_t)(1 << (value % 8));
    return r->error ? 0 : value;
}

uint32_t read_optional_slot(struct reader *r)
{
    if (!r->error && bytes_left(r) >= 4 && memcmp(r->at, "\xff\xff\xff\xff", 4) == 0) {
        r->at += 4;
        return NO_SLOT;
    }
    return read_slot(r);
}

struct plan_path read_path(struct reader *r)
{
    struct plan_path value = {.base = read_optional_slot(r), .path = read_string(r, PATH_LIMIT)};

    check_plan(r, value.base != NO_SLOT || value.path[0] == '/', "a path without a base is not absolute");
    return value;
}

uint32_t read_namespaces(struct reader *r)
{
    uint32_t bits = read_u32(r);

    check_plan(r, (bits & ~(uint32_t)NAMESPACE_ALL) == 0, "an unknown namespace");
    return bits;
}

uint32_t read_attributes(struct reader *r)
{
    uint32_t bits = read_u32(r), atimes = bits & (ATTRIBUTE_NOATIME | ATTRIBUTE_RELATIME | ATTRIBUTE_STRICTATIME);

    check_plan(r, (bits & ~(uint32_t)ATTRIBUTE_ALL) == 0, "an unknown mount attribute");
    check_plan(r, (atimes & (atimes - 1)) == 0, "more than one atime attribute");
    return bits;
}

struct reader read_section(struct reader *r, uint32_t length)
{
    struct reader part = *r;

    part.at = take_bytes(r, length);
    part.end = part.at ? part.at + length : part.at;
    part.error = r->error;
    return part;
}

const char *reading_error(const struct reader *r)
{
    return r->error ? r->error : r->at != r->end ? "bytes are left over" : NULL;
}
