#include "detach-keys.h"

#include <string.h>

/* The longest proper start of the keys that the held keys and `next` end with. */
static size_t fall_back(const struct detach_keys *state, uint8_t next)
{
    for (size_t length = state->matched; length > 0; length--)
        if (state->keys[length - 1] == next &&
            memcmp(state->keys, state->keys + state->matched - (length - 1), length - 1) == 0)
            return length;
    return 0;
}

bool filter_detach_keys(struct detach_keys *state, const uint8_t *input, size_t length, uint8_t *to, size_t *to_length)
{
    uint8_t *out = to;
    bool detached = false;

    for (size_t i = 0; i < length && !detached; i++) {
        if (state->count && input[i] == state->keys[state->matched]) {
            detached = ++state->matched == state->count;
            continue;
        }
        size_t held = state->matched, stays = state->count ? fall_back(state, input[i]) : 0;
        /* of what was held and this byte, all but the last `stays` bytes pass */
        size_t passing = held + 1 - stays;
        memcpy(out, state->keys, passing < held ? passing : held);
        out += passing < held ? passing : held;
        if (passing > held)
            *out++ = input[i];
        state->matched = stays;
    }
    *to_length = (size_t)(out - to);
    return detached;
}
