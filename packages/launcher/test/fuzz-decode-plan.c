/* libFuzzer target: the plan decoder. A plan that is accepted must be printable without touching anything outside of it. */
#include <stdlib.h>

#include "dump-plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct arena arena = {.size = plan_arena_size(size)};
    struct plan plan;
    struct plan_error error;

    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    arena.start = malloc(arena.size);
    if (decode_plan(data, size, &arena, &plan, &error) == 0)
        dump_plan(nowhere, &plan);
    free(arena.start);
    return 0;
}
