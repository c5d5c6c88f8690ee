/* An attach client on a socketpair: frames, a full socket, half-close, detach, close without reset. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../src/attach-client.h"
#include "test.h"

static uint8_t big[300000];

static struct attach_client *attach(int *other, uint8_t flags, const char *keys, bool framed)
{
    int ends[2], size = 4096;
    struct request request = {.type = REQUEST_ATTACH};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        exit(2);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    request.attach.flags = flags;
    request.attach.keys = (const uint8_t *)keys;
    request.attach.key_count = (uint32_t)strlen(keys);
    request.attach.input = (const uint8_t *)"first ";
    request.attach.input_length = 6;
    *other = ends[1];
    return new_client(ends[0], &request, framed);
}

static void check_frames(void)
{
    int other;
    uint8_t got[64];
    struct attach_client *client = attach(&other, ATTACH_STDOUT | ATTACH_STDERR, "", true);

    send_output(client, ATTACH_STDOUT, (const uint8_t *)"out", 3, 0);
    send_output(client, ATTACH_STDERR, (const uint8_t *)"err!", 4, 0);
    CHECK(read(other, got, sizeof got) == 23);
    CHECK(memcmp(got, "\1\0\0\0\0\0\0\3out\2\0\0\0\0\0\0\4err!", 23) == 0);
    client->flags = ATTACH_STDERR;
    send_output(client, ATTACH_STDOUT, (const uint8_t *)"out", 3, 0);
    CHECK(recv(other, got, sizeof got, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    free_client(client);
    CHECK(read(other, got, sizeof got) == 0);
    close(other);
}

/* All bytes arrive in order, whatever the socket takes at once. */
static void check_full_socket(void)
{
    int other;
    size_t total = 0;
    static uint8_t got[sizeof big * 2 + 64];
    struct attach_client *client = attach(&other, ATTACH_STDOUT, "", false);

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 7 + i / 251);
    send_output(client, ATTACH_STDOUT, big, sizeof big, 1);
    CHECK(has_kept_output(client));
    send_output(client, ATTACH_STDOUT, big, sizeof big, 2);
    CHECK(client->progress_ns == 1);
    for (;;) {
        ssize_t length = recv(other, got + total, 1000, MSG_DONTWAIT);
        if (length > 0)
            total += (size_t)length;
        else if (has_kept_output(client))
            send_kept_output(client, 3);
        else
            break;
    }
    CHECK(total == 2 * sizeof big);
    CHECK(memcmp(got, big, sizeof big) == 0 && memcmp(got + sizeof big, big, sizeof big) == 0);
    free_client(client);
    close(other);
}

/* A client that is held keeps all, in order, and lets the process wait at the limit only. */
static void check_hold(void)
{
    int other;
    size_t total = 0, sent = 0;
    static uint8_t got[HOLD_LIMIT + 4096];
    struct attach_client *client = attach(&other, ATTACH_STDOUT | ATTACH_BEHIND_LOG, "", false);

    CHECK(client->flags == ATTACH_STDOUT);
    client->held_by = (const struct connection *)client;
    for (uint64_t now = 1; !holds_output_back(client); now++, sent += 7) {
        send_output(client, ATTACH_STDOUT, big + sent % 251, 7, now);
        CHECK(client->progress_ns == now);
    }
    CHECK(sent >= HOLD_LIMIT && sent < HOLD_LIMIT + 7);
    CHECK(recv(other, got, sizeof got, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    client->held_by = NULL;
    CHECK(holds_output_back(client));
    while (total < sent) {
        ssize_t length = recv(other, got + total, sizeof got - total, MSG_DONTWAIT);
        if (length > 0)
            total += (size_t)length;
        else
            send_kept_output(client, 1);
    }
    CHECK(!holds_output_back(client));
    for (size_t at = 0; at < sent; at += 7)
        if (memcmp(got + at, big + at % 251, 7) != 0) {
            CHECK_NAMED(false, "held output in order");
            break;
        }
    free_client(client);
    close(other);
}

static void check_input(void)
{
    int other, pipe_ends[2];
    uint8_t scratch[4096];
    char got[64];
    struct attach_client *client = attach(&other, ATTACH_STDIN | ATTACH_STDOUT, "\x10\x11", false);

    CHECK(pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK(has_input(client));
    CHECK(write(other, "second\x10", 7) == 7);
    receive_input(client, scratch, sizeof scratch);
    CHECK(pass_input(client, pipe_ends[1]) == 0);
    CHECK(read(pipe_ends[0], got, sizeof got) == 12 && memcmp(got, "first second", 12) == 0);
    CHECK(!has_input(client) && !client->detached);
    shutdown(other, SHUT_WR);
    receive_input(client, scratch, sizeof scratch);
    CHECK(client->input_ended && !client->output_gone);
    send_output(client, ATTACH_STDOUT, (const uint8_t *)"still", 5, 0);
    CHECK(read(other, got, sizeof got) == 5);
    close(pipe_ends[0]);
    client->input_ended = false;
    free_client(client);
    close(other);

    client = attach(&other, ATTACH_STDIN, "\x10\x11", false);
    CHECK(write(other, "x\x10\x11y", 4) == 4);
    receive_input(client, scratch, sizeof scratch);
    CHECK(client->detached);

    CHECK(pass_input(client, pipe_ends[1]) == -1 && errno == EPIPE);
    free_client(client);
    close(other);
    close(pipe_ends[1]);
}

/* Unread input in the socket must not turn the end of the output into ECONNRESET. */
static void check_close_without_reset(void)
{
    int other;
    char got[64];
    struct attach_client *client = attach(&other, ATTACH_STDOUT, "", false);

    CHECK(write(other, "never read", 10) == 10);
    send_output(client, ATTACH_STDOUT, (const uint8_t *)"last words", 10, 0);
    free_client(client);
    CHECK(read(other, got, sizeof got) == 10);
    CHECK(read(other, got, sizeof got) == 0);
    close(other);
}

static void check_gone(void)
{
    int other;
    struct attach_client *client = attach(&other, ATTACH_STDOUT, "", false);

    send_output(client, ATTACH_STDOUT, big, sizeof big, 1);
    close(other);
    send_kept_output(client, 2);
    CHECK(client->output_gone && !has_kept_output(client));
    send_output(client, ATTACH_STDOUT, big, sizeof big, 1);
    CHECK(!has_kept_output(client));
    free_client(client);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    check_frames();
    check_full_socket();
    check_hold();
    check_input();
    check_close_without_reset();
    check_gone();
    return finish_tests();
}
