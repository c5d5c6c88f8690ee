/* libFuzzer target: the reader of control frames, and the detach keys of those that attach. */
#include <stdlib.h>
#include <string.h>

#include "../src/control-frames.h"
#include "../src/detach-keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void filter(const struct request *request)
{
    struct detach_keys keys = {.count = request->attach.key_count};
    uint8_t *to = malloc(request->attach.input_length + DETACH_KEYS_LIMIT);
    size_t length;

    memcpy(keys.keys, request->attach.keys, keys.count);
    filter_detach_keys(&keys, request->attach.input, request->attach.input_length, to, &length);
    if (length > request->attach.input_length)
        abort();
    free(to);
}

/* What must be true of every request that was understood, whatever the bytes. */
static void check(const struct request *request)
{
    if (request->type < REQUEST_START || request->type > REQUEST_RELEASE)
        abort();
    if (request->type == REQUEST_ATTACH) {
        if (request->attach.flags & ~ATTACH_ALL)
            abort();
        filter(request);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader reader = {0};
    struct request request;
    const uint8_t *body;
    size_t length, piece = size ? data[0] % 32 + 1 : 1;
    int found = 0;

    for (size_t at = 0; at < size && found >= 0; at += piece) {
        size_t count = size - at < piece ? size - at : piece;
        memcpy(frame_room(&reader, count), data + at, count);
        reader.used += count;
        while ((found = next_frame(&reader, &body, &length)) > 0)
            if (parse_request(body, length, &request) == 0)
                check(&request);
    }
    free_frames(&reader);
    return 0;
}
