/* One attached client: PROTOCOL.md, section 4. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control-frames.h"
#include "detach-keys.h"

struct connection;

struct attach_client {
    struct attach_client *next;
    int socket;
    uint8_t flags;
    bool framed;        /* Docker's frames, not raw */
    bool output_gone;   /* it takes no more output */
    bool input_ended;   /* it sends no more */
    bool detached;      /* it typed the detach keys */
    struct detach_keys detach;

    const struct connection *held_by; /* all output is kept until this daemon's RELEASE of attach_id; NULL: it is sent */
    uint32_t attach_id;

    uint8_t *output; /* what its socket has not taken yet */
    size_t output_at, output_end, output_size;
    uint64_t progress_ns; /* when it last took some of that; while it is held, when more was kept */

    uint8_t *input; /* what the process has not taken yet */
    size_t input_at, input_end;
};

/* What is kept for a client that is held before the process has to wait; a read more may be, with its header. */
enum { HOLD_LIMIT = 256 * 1024 };

/* Whether this is a stream socket that output can go to. */
bool is_stream_socket(int descriptor);

/* A client with this socket, which it owns from now on (closed on failure, too). NULL without memory. */
struct attach_client *new_client(int socket, const struct request *request, bool framed);

/* Sends output of one stream (ATTACH_STDOUT or ATTACH_STDERR), or keeps what the socket does not take; for a client that is
 * held, all. */
void send_output(struct attach_client *client, uint8_t stream, const uint8_t *data, size_t length, uint64_t now_ns);

/* Sends what was kept. */
void send_kept_output(struct attach_client *client, uint64_t now_ns);
bool has_kept_output(const struct attach_client *client);

/* Whether no more output may be read because of this client. */
bool holds_output_back(const struct attach_client *client);

/* The other end takes no more output: drops what was kept. */
void lose_output(struct attach_client *client);

/* Reads input into the client's buffer, less the detach keys; without the stdin flag it is dropped. */
void receive_input(struct attach_client *client, uint8_t *scratch, size_t size);
bool has_input(const struct attach_client *client);
void drop_input(struct attach_client *client);

/* Writes waiting input to the process. Returns -1 with errno when it takes no more at all (EPIPE, EIO). */
int pass_input(struct attach_client *client, int to);

/* Shuts the socket down after all that was sent, so that the other end reads an end and not a reset. */
void close_client_socket(struct attach_client *client);

void free_client(struct attach_client *client);
