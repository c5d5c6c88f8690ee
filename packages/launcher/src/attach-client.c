#include "attach-client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER_SIZE = 8 };

bool is_stream_socket(int descriptor)
{
    int type = 0;
    socklen_t length = sizeof type;

    return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

/* Puts input behind what waits already. Without memory the client counts as gone. */
static void take_input(struct attach_client *client, const uint8_t *data, size_t length)
{
    size_t waiting = client->input_end - client->input_at;
    uint8_t *bigger = malloc(waiting + length + DETACH_KEYS_LIMIT);
    size_t passed = 0;

    if (!bigger) {
        client->output_gone = client->input_ended = true;
        return;
    }
    if (waiting)
        memcpy(bigger, client->input + client->input_at, waiting);
    client->detached = filter_detach_keys(&client->detach, data, length, bigger + waiting, &passed);
    free(client->input);
    client->input = bigger;
    client->input_at = 0;
    client->input_end = waiting + passed;
}

struct attach_client *new_client(int socket, const struct request *request, bool framed)
{
    struct attach_client *client = calloc(1, sizeof *client);

    if (!client) {
        close(socket);
        return NULL;
    }
    client->socket = socket;
    client->flags = request->attach.flags & (uint8_t)~ATTACH_BEHIND_LOG;
    client->framed = framed;
    client->detach.count = request->attach.key_count;
    memcpy(client->detach.keys, request->attach.keys, request->attach.key_count);
    if (client->flags & ATTACH_STDIN && request->attach.input_length)
        take_input(client, request->attach.input, request->attach.input_length);
    return client;
}

bool has_kept_output(const struct attach_client *client)
{
    return client->output_end > client->output_at;
}

bool holds_output_back(const struct attach_client *client)
{
    return client->held_by ? client->output_end - client->output_at >= HOLD_LIMIT : has_kept_output(client);
}

static void drop_output(struct attach_client *client)
{
    free(client->output);
    client->output = NULL;
    client->output_at = client->output_end = client->output_size = 0;
}

void lose_output(struct attach_client *client)
{
    client->output_gone = true;
    drop_output(client);
}

/* Sends what the socket takes at once. Returns how much, 0 where it is full or gone. */
static size_t send_now(struct attach_client *client, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent;

    do
        sent = sendmsg(client->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS && errno != ENOMEM)
        lose_output(client);
    return sent < 0 ? 0 : (size_t)sent;
}

/* Room for `length` more bytes behind what is kept; NULL without memory. It doubles: output may come in many small pieces. */
static uint8_t *output_room(struct attach_client *client, size_t length)
{
    if (client->output_size - client->output_end < length) {
        size_t size = client->output_size * 2 > client->output_end + length ? client->output_size * 2 : client->output_end + length;
        uint8_t *bigger = realloc(client->output, size);
        if (!bigger)
            return NULL;
        client->output = bigger;
        client->output_size = size;
    }
    return client->output + client->output_end;
}

/* Keeps all but the first `sent` bytes of header and data behind what is kept already. */
static void keep(struct attach_client *client, const uint8_t *header, size_t header_size, const uint8_t *data, size_t length,
                 size_t sent)
{
    uint8_t *at = output_room(client, header_size + length - sent);

    if (!at) {
        lose_output(client);
        return;
    }
    client->output_end += header_size + length - sent;
    if (sent < header_size) {
        at = (uint8_t *)mempcpy(at, header + sent, header_size - sent);
        sent = header_size;
    }
    memcpy(at, data + (sent - header_size), length - (sent - header_size));
}

void send_output(struct attach_client *client, uint8_t stream, const uint8_t *data, size_t length, uint64_t now_ns)
{
    const uint8_t header[HEADER_SIZE] = {
        stream == ATTACH_STDERR ? 2 : 1, 0, 0, 0,
        (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length,
    };
    size_t header_size = client->framed ? HEADER_SIZE : 0, sent = 0;

    if (client->output_gone || !(client->flags & stream))
        return;
    if (!has_kept_output(client) && !client->held_by) {
        struct iovec parts[] = {{(void *)(uintptr_t)header, header_size}, {(void *)(uintptr_t)data, length}};
        sent = send_now(client, parts, 2);
        client->progress_ns = now_ns;
    }
    if (client->held_by)
        client->progress_ns = now_ns;
    if (!client->output_gone && sent < header_size + length)
        keep(client, header, header_size, data, length, sent);
}

void send_kept_output(struct attach_client *client, uint64_t now_ns)
{
    struct iovec part = {client->output + client->output_at, client->output_end - client->output_at};
    size_t sent = send_now(client, &part, 1);

    if (client->output_gone || sent == 0)
        return;
    client->progress_ns = now_ns;
    client->output_at += sent;
    if (!has_kept_output(client))
        drop_output(client);
}

bool has_input(const struct attach_client *client)
{
    return client->input_end > client->input_at;
}

void drop_input(struct attach_client *client)
{
    free(client->input);
    client->input = NULL;
    client->input_at = client->input_end = 0;
}

void receive_input(struct attach_client *client, uint8_t *scratch, size_t size)
{
    ssize_t got = recv(client->socket, scratch, size, MSG_DONTWAIT);

    if (got > 0 && client->flags & ATTACH_STDIN)
        take_input(client, scratch, (size_t)got);
    else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        client->input_ended = true;
}

int pass_input(struct attach_client *client, int to)
{
    ssize_t written = write(to, client->input + client->input_at, client->input_end - client->input_at);

    if (written < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    client->input_at += (size_t)written;
    if (!has_input(client))
        drop_input(client);
    return 0;
}

void close_client_socket(struct attach_client *client)
{
    uint8_t rest[4096];

    if (client->socket < 0)
        return;
    /* unread input would make close(2) of a socket tell the other end ECONNRESET instead of the end */
    shutdown(client->socket, SHUT_RDWR);
    for (int i = 0; i < 256 && recv(client->socket, rest, sizeof rest, MSG_DONTWAIT) > 0; i++)
        continue;
    close(client->socket);
    client->socket = -1;
    client->input_ended = true;
    lose_output(client);
}

void free_client(struct attach_client *client)
{
    close_client_socket(client);
    drop_output(client);
    drop_input(client);
    free(client);
}
