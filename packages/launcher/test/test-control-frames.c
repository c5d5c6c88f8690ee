/* Frames of the daemon against test/golden, cut in every way; frames to the daemon byte by byte. */
#include <inttypes.h>
#include <stdlib.h>

#include "../src/control-frames.h"
#include "../src/plan.h"
#include "test.h"

static void hex(FILE *to, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(to, "%02x", data[i]);
}

static void describe(FILE *to, const struct request *request)
{
    static const char *const names[] = {"stdin", "stdout", "stderr", "behind-log"};
    const char *separator = " ";

    switch ((enum request_type)request->type) {
    case REQUEST_START:
        fputs("start\n", to);
        return;
    case REQUEST_ATTACH:
        fprintf(to, "attach %" PRIu32, request->id);
        for (int i = 0; i < 4; i++)
            if (request->attach.flags >> i & 1) {
                fprintf(to, "%s%s", separator, names[i]);
                separator = ",";
            }
        fputs(" keys=", to);
        hex(to, request->attach.keys, request->attach.key_count);
        fputs(" input=", to);
        hex(to, request->attach.input, request->attach.input_length);
        fputc('\n', to);
        return;
    case REQUEST_SIGNAL:
        fprintf(to, "signal %" PRIu32 " %" PRIu32 " %s\n", request->id, request->signal.number,
                request->signal.whole_group ? "group" : "process");
        return;
    case REQUEST_RESIZE:
        fprintf(to, "resize %" PRIu32 " %u %u\n", request->id, request->resize.rows, request->resize.columns);
        return;
    case REQUEST_PREPARE:
        fprintf(to, "prepare %" PRIu32 "\n", request->prepare.namespaces);
        return;
    case REQUEST_SLOTS:
        fprintf(to, "slots %" PRIu32 " %" PRIu32 "\n", request->slots.first, request->slots.count);
        return;
    case REQUEST_PLAN:
        fputs("plan\n", to);
        return;
    case REQUEST_RELEASE:
        fprintf(to, "release %" PRIu32 " %" PRIu32 "\n", request->id, request->release.attach_id);
        return;
    case REQUEST_STATUS:
        fprintf(to, "status %" PRIu32 "\n", request->id);
        return;
    }
}

/* Reads the stream in pieces of this size. */
static char *read_stream(const uint8_t *bytes, size_t length, size_t piece)
{
    struct frame_reader reader = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    for (size_t at = 0; at < length; at += piece) {
        size_t count = length - at < piece ? length - at : piece;
        memcpy(frame_room(&reader, count), bytes + at, count);
        reader.used += count;
        const uint8_t *body;
        size_t body_length;
        int found;
        while ((found = next_frame(&reader, &body, &body_length)) != 0) {
            struct request request;
            if (found < 0 || parse_request(body, body_length, &request) < 0) {
                fputs("bad\n", to);
                at = length;
                break;
            }
            describe(to, &request);
        }
    }
    free_frames(&reader);
    fclose(to);
    return text;
}

static void check_bad(const char *what, const uint8_t *bytes, size_t length)
{
    char *text = read_stream(bytes, length, length);

    CHECK_NAMED(strcmp(text, "bad\n") == 0, what);
    free(text);
}

static void check_hex(const char *what, const uint8_t *frame, size_t length, const char *expected)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    hex(to, frame, length);
    fclose(to);
    CHECK_NAMED(strcmp(text, expected) == 0, what);
    if (strcmp(text, expected) != 0)
        printf("#   expected: %s\n#   actual:   %s\n", expected, text);
    free(text);
}

int main(int argc, char **argv)
{
    char path[512], expected[4096];
    uint8_t bytes[4096], frame[MESSAGE_LIMIT];
    const struct exit_report report = {.signalled = true, .code = 9, .oom_killed = true, .started_ns = 0x0102030405060708, .finished_ns = 1};

    snprintf(path, sizeof path, "%s/requests.frames", argc > 1 ? argv[1] : "test/golden");
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file)
        fclose(file);
    snprintf(path, sizeof path, "%s/requests.txt", argc > 1 ? argv[1] : "test/golden");
    file = fopen(path, "rb");
    expected[file ? fread(expected, 1, sizeof expected - 1, file) : 0] = 0;
    if (file)
        fclose(file);
    CHECK(length > 0);
    for (size_t piece = 1; piece <= length; piece++) {
        char *text = read_stream(bytes, length, piece);
        CHECK_TEXT(text, expected);
        free(text);
    }

    check_bad("a frame of no bytes", (const uint8_t[]){0, 0, 0, 0}, 4);
    check_bad("a frame that is too long", (const uint8_t[]){1, 0, 16, 0}, 4);
    check_bad("an unknown type", (const uint8_t[]){5, 0, 0, 0, 10, 0, 0, 0, 0}, 9);
    check_bad("a PLAN with a payload", (const uint8_t[]){2, 0, 0, 0, 8, 0}, 6);
    check_bad("a PREPARE without namespaces", (const uint8_t[]){1, 0, 0, 0, 6}, 5);
    check_bad("an unknown namespace", (const uint8_t[]){5, 0, 0, 0, 6, 128, 0, 0, 0}, 9);
    check_bad("no slots", (const uint8_t[]){9, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0}, 13);
    check_bad("254 slots", (const uint8_t[]){9, 0, 0, 0, 7, 0, 0, 0, 0, 254, 0, 0, 0}, 13);
    check_bad("slots past the last", (const uint8_t[]){9, 0, 0, 0, 7, 255, 3, 0, 0, 2, 0, 0, 0}, 13);
    check_bad("a START with a payload", (const uint8_t[]){2, 0, 0, 0, 1, 0}, 6);
    check_bad("a STATUS without an id", (const uint8_t[]){2, 0, 0, 0, 5, 0}, 6);
    check_bad("a RELEASE of nothing", (const uint8_t[]){5, 0, 0, 0, 9, 1, 0, 0, 0}, 9);
    check_bad("a RELEASE of too much", (const uint8_t[]){10, 0, 0, 0, 9, 1, 0, 0, 0, 1, 0, 0, 0, 0}, 14);
    check_bad("signal 0", (const uint8_t[]){10, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 14);
    check_bad("signal 65", (const uint8_t[]){10, 0, 0, 0, 3, 1, 0, 0, 0, 65, 0, 0, 0, 0}, 14);
    check_bad("unknown attach flags", (const uint8_t[]){14, 0, 0, 0, 2, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0}, 18);
    check_bad("keys past the end", (const uint8_t[]){14, 0, 0, 0, 2, 1, 0, 0, 0, 7, 255, 255, 255, 255, 0, 0, 0, 0}, 18);
    check_bad("input past the end", (const uint8_t[]){14, 0, 0, 0, 2, 1, 0, 0, 0, 7, 0, 0, 0, 0, 1, 0, 0, 0}, 18);

    /* the daemon's test (packages/daemon/test/launcher-protocol.test.ts) decodes these very bytes */
    check_hex("reply", frame, encode_reply(frame, 7, 3), "09000000810700000003000000");
    check_hex("log position", frame, encode_log_position_reply(frame, 9, 2, 0x0102030405060708),
              "190000008109000000000000000200000000000000" "0807060504030201");
    check_hex("status", frame, encode_status_reply(frame, 8, STATE_RUNNING, 0x1234, &report),
              "1600000081080000000000000001341200000807060504030201");
    check_hex("status after the exit", frame, encode_status_reply(frame, 8, STATE_EXITED, 0x1234, &report),
              "2c0000008108000000000000000234120000080706050403020101090000000108070605040302010100000000000000");
    check_hex("started", frame, encode_started(frame, 0x1234, 0x0102030405060708), "0d00000083341200000807060504030201");
    check_hex("exited", frame, encode_exited(frame, &report), "1700000085010900000001080706050403020101000000" "00000000");
    const struct failure failure = {.step = 3, .error = 2, .detail = "/x"};
    check_hex("failed", frame, encode_failure(frame, MESSAGE_FAILED, &failure), "0f00000084030000000200000002000000" "2f78");
    const struct failure warning = {.step = NO_STEP, .error = 28};
    check_hex("warning", frame, encode_failure(frame, MESSAGE_WARNING, &warning), "0d00000082ffffffff1c00000000000000");

    uint8_t exit_file[EXIT_FILE_SIZE];
    encode_exit_file(0x1234, &report, exit_file);
    check_hex("exit file", exit_file, sizeof exit_file,
              "54534458010000003412000001090000000108070605040302010100000000000000" "cdfe2938");
    return finish_tests();
}
