/* Finds the detach sequence in a client's input, however it is cut. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control-frames.h"

struct detach_keys {
    uint8_t keys[DETACH_KEYS_LIMIT];
    size_t count, matched; /* how many keys are held back, being the start of the sequence perhaps */
};

/* Copies input to `to` (room: length + DETACH_KEYS_LIMIT) without the sequence. Returns true when the whole sequence came; what was
 * typed after it is dropped. */
bool filter_detach_keys(struct detach_keys *state, const uint8_t *input, size_t length, uint8_t *to, size_t *to_length);
