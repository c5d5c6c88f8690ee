#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static char detail[DETAIL_LIMIT + 1];

static size_t join(char *to, size_t size, const char *first, va_list rest)
{
    size_t length = 0;

    for (const char *part = first; part; part = va_arg(rest, const char *)) {
        size_t part_length = strlen(part), room = size - 1 - length;
        if (part_length > room)
            part_length = room;
        memcpy(to + length, part, part_length);
        length += part_length;
    }
    to[length] = 0;
    return length;
}

size_t join_text(char *to, size_t size, const char *first, ...)
{
    va_list rest;

    va_start(rest, first);
    size_t length = join(to, size, first, rest);
    va_end(rest);
    return length;
}

void set_detail(const char *first, ...)
{
    int error = errno;
    va_list rest;

    va_start(rest, first);
    join(detail, sizeof detail, first, rest);
    va_end(rest);
    errno = error;
}

int fail_with(int error, const char *text)
{
    set_detail(text, NULL);
    errno = error;
    return -1;
}

const char *get_detail(void)
{
    return detail;
}

void clear_detail(void)
{
    detail[0] = 0;
}

const char *decimal(uint64_t number)
{
    static char digits[21];
    char *at = digits + sizeof digits - 1;

    *at = 0;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    return at;
}
