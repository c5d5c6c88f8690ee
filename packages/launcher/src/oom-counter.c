#include "oom-counter.h"

#include <string.h>
#include <unistd.h>

uint64_t parse_oom_kills(const char *text)
{
    static const char name[] = "oom_kill ";
    uint64_t count = 0;

    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, name, sizeof name - 1) != 0)
            continue;
        for (const char *digit = line + sizeof name - 1; *digit >= '0' && *digit <= '9'; digit++)
            count = count * 10 + (uint64_t)(*digit - '0');
        return count;
    }
    return 0;
}

uint64_t read_oom_kills(int descriptor)
{
    char text[1024];
    ssize_t length = pread(descriptor, text, sizeof text - 1, 0);

    if (length <= 0)
        return 0;
    text[length] = 0;
    return parse_oom_kills(text);
}
