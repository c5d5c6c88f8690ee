#include "control-frames.h"

#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "wire.h"

enum { KEPT_SIZE = 16384 };

uint8_t *frame_room(struct frame_reader *reader, size_t length)
{
    /* a large frame is over: give its memory back */
    if (reader->start == reader->used && reader->size > KEPT_SIZE)
        free_frames(reader);
    if (reader->start) {
        memmove(reader->buffer, reader->buffer + reader->start, reader->used - reader->start);
        reader->used -= reader->start;
        reader->start = 0;
    }
    if (reader->size - reader->used < length) {
        size_t size = reader->used + length;
        uint8_t *bigger = realloc(reader->buffer, size);
        if (!bigger)
            return NULL;
        reader->buffer = bigger;
        reader->size = size;
    }
    return reader->buffer + reader->used;
}

int next_frame(struct frame_reader *reader, const uint8_t **body, size_t *length)
{
    size_t available = reader->used - reader->start;

    if (available < 4)
        return 0;
    uint32_t announced = get_u32(reader->buffer + reader->start);
    if (announced < 1 || announced > FRAME_LIMIT)
        return -1;
    if (available - 4 < announced)
        return 0;
    *body = reader->buffer + reader->start + 4;
    *length = announced;
    reader->start += 4 + (size_t)announced;
    return 1;
}

void free_frames(struct frame_reader *reader)
{
    free(reader->buffer);
    *reader = (struct frame_reader){0};
}

/* A u32 length and as many bytes at *at, which moves on. Returns NULL where they go past the end. */
static const uint8_t *counted(const uint8_t **at, const uint8_t *end, uint32_t *length)
{
    if (end - *at < 4)
        return NULL;
    *length = get_u32(*at);
    const uint8_t *bytes = *at + 4;
    if ((size_t)(end - bytes) < *length)
        return NULL;
    *at = bytes + *length;
    return bytes;
}

static int parse_attach(const uint8_t *at, const uint8_t *end, struct request *request)
{
    if (at == end || (*at & ~ATTACH_ALL))
        return -1;
    request->attach.flags = *at++;
    request->attach.keys = counted(&at, end, &request->attach.key_count);
    if (!request->attach.keys || request->attach.key_count > DETACH_KEYS_LIMIT)
        return -1;
    request->attach.input = counted(&at, end, &request->attach.input_length);
    return request->attach.input && at == end ? 0 : -1;
}

/* What the daemon asks before the start has no id: it gets no reply. */
static int parse_preparation(const uint8_t *body, size_t length, struct request *request)
{
    switch (request->type) {
    case REQUEST_PREPARE:
        if (length != 5 || get_u32(body + 1) & ~(uint32_t)NAMESPACE_ALL)
            return -1;
        request->prepare.namespaces = get_u32(body + 1);
        return 0;
    case REQUEST_SLOTS:
        if (length != 9)
            return -1;
        request->slots.first = get_u32(body + 1);
        request->slots.count = get_u32(body + 5);
        return request->slots.count >= 1 && request->slots.count <= RIGHTS_LIMIT && request->slots.first < SLOT_LIMIT &&
                       request->slots.count <= SLOT_LIMIT - request->slots.first
                   ? 0
                   : -1;
    default:
        return length == 1 ? 0 : -1;
    }
}

int parse_request(const uint8_t *body, size_t length, struct request *request)
{
    const uint8_t *at = body + 5, *end = body + length;

    *request = (struct request){.type = body[0]};
    if (request->type == REQUEST_START || (request->type >= REQUEST_PREPARE && request->type <= REQUEST_PLAN))
        return parse_preparation(body, length, request);
    if (length < 5)
        return -1;
    request->id = get_u32(body + 1);
    switch (request->type) {
    case REQUEST_ATTACH:
        return parse_attach(at, end, request);
    case REQUEST_SIGNAL:
        if (end - at != 5 || get_u32(at) < 1 || get_u32(at) > 64 || at[4] > 1)
            return -1;
        request->signal.number = get_u32(at);
        request->signal.whole_group = at[4];
        return 0;
    case REQUEST_RESIZE:
        if (end - at != 4)
            return -1;
        request->resize.rows = get_u16(at);
        request->resize.columns = get_u16(at + 2);
        return 0;
    case REQUEST_STATUS:
        return at == end ? 0 : -1;
    case REQUEST_RELEASE:
        if (end - at != 4)
            return -1;
        request->release.attach_id = get_u32(at);
        return 0;
    default:
        return -1;
    }
}

/* Writes the header of a frame whose payload goes up to `end`. */
static size_t finish(uint8_t *frame, enum message_type type, const uint8_t *end)
{
    put_u32(frame, (uint32_t)(end - frame) - 4);
    frame[4] = (uint8_t)type;
    return (size_t)(end - frame);
}

size_t encode_reply(uint8_t *to, uint32_t id, int error)
{
    return finish(to, MESSAGE_REPLY, put_u32(put_u32(to + 5, id), (uint32_t)error));
}

size_t encode_status_reply(uint8_t *to, uint32_t id, enum launch_state state, uint32_t pid, const struct exit_report *report)
{
    uint8_t *at = put_u32(put_u32(to + 5, id), 0);

    *at++ = (uint8_t)state;
    at = put_u64(put_u32(at, pid), report->started_ns);
    if (state == STATE_EXITED) {
        encode_exit_report(report, at);
        at += EXIT_REPORT_SIZE;
    }
    return finish(to, MESSAGE_REPLY, at);
}

size_t encode_log_position_reply(uint8_t *to, uint32_t id, uint64_t sequence, uint64_t offset)
{
    return finish(to, MESSAGE_REPLY, put_u64(put_u64(put_u32(put_u32(to + 5, id), 0), sequence), offset));
}

size_t encode_failure(uint8_t *to, enum message_type type, const struct failure *failure)
{
    size_t length = strlen(failure->detail);
    uint8_t *at = put_u32(put_u32(put_u32(to + 5, failure->step), (uint32_t)failure->error), (uint32_t)length);

    memcpy(at, failure->detail, length);
    return finish(to, type, at + length);
}

size_t encode_started(uint8_t *to, uint32_t pid, uint64_t started_ns)
{
    return finish(to, MESSAGE_STARTED, put_u64(put_u32(to + 5, pid), started_ns));
}

size_t encode_exited(uint8_t *to, const struct exit_report *report)
{
    encode_exit_report(report, to + 5);
    return finish(to, MESSAGE_EXITED, to + 5 + EXIT_REPORT_SIZE);
}
