/* Control frames: PROTOCOL.md, section 3. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exit-report.h"
#include "failure.h"

enum {
    FRAME_LIMIT = 1024 * 1024,
    MESSAGE_LIMIT = 4 + 1 + 12 + DETAIL_LIMIT,
    DETACH_KEYS_LIMIT = 16,
    RIGHTS_LIMIT = 253, /* SCM_MAX_FD: descriptors of one message */
};

enum request_type {
    REQUEST_START = 1,
    REQUEST_ATTACH,
    REQUEST_SIGNAL,
    REQUEST_RESIZE,
    REQUEST_STATUS,
    REQUEST_PREPARE,
    REQUEST_SLOTS,
    REQUEST_PLAN,
    REQUEST_RELEASE,
};
enum message_type { MESSAGE_REPLY = 0x81, MESSAGE_WARNING, MESSAGE_STARTED, MESSAGE_FAILED, MESSAGE_EXITED };
enum attach_flag { ATTACH_STDIN = 1, ATTACH_STDOUT = 2, ATTACH_STDERR = 4, ATTACH_BEHIND_LOG = 8, ATTACH_ALL = 15 };
enum launch_state { STATE_STARTING, STATE_RUNNING, STATE_EXITED };

struct request {
    uint8_t type;
    uint32_t id;
    union {
        struct {
            uint8_t flags;
            const uint8_t *keys, *input; /* in the frame */
            uint32_t key_count, input_length;
        } attach;
        struct { uint32_t number; bool whole_group; } signal;
        struct { uint16_t rows, columns; } resize;
        struct { uint32_t namespaces; } prepare;
        struct { uint32_t first, count; } slots;
        struct { uint32_t attach_id; } release;
    };
};

/* Collects bytes until they make a frame. */
struct frame_reader {
    uint8_t *buffer;
    size_t start, used, size;
};

/* Room for at least `length` more bytes, or NULL when there is no memory. The caller adds what it puts there to `used`. */
uint8_t *frame_room(struct frame_reader *reader, size_t length);

/* Takes the next frame. Returns 1 (the body stays valid until the next call of frame_room), 0 when more bytes are needed,
 * -1 when this is no frame. */
int next_frame(struct frame_reader *reader, const uint8_t **body, size_t *length);

void free_frames(struct frame_reader *reader);

/* Understands a frame's body. Returns -1 where it is no request. */
int parse_request(const uint8_t *body, size_t length, struct request *request);

/* Each writes one frame of at most MESSAGE_LIMIT bytes and returns its length. */
size_t encode_reply(uint8_t *to, uint32_t id, int error);
size_t encode_status_reply(uint8_t *to, uint32_t id, enum launch_state state, uint32_t pid, const struct exit_report *report);
/* The answer to an ATTACH behind the log: where the log's newest file ends. */
size_t encode_log_position_reply(uint8_t *to, uint32_t id, uint64_t sequence, uint64_t offset);
size_t encode_failure(uint8_t *to, enum message_type type, const struct failure *failure);
size_t encode_started(uint8_t *to, uint32_t pid, uint64_t started_ns);
size_t encode_exited(uint8_t *to, const struct exit_report *report);
