/* The supervisor: everything that one launch has outside of its container. */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "attach-client.h"
#include "control-frames.h"
#include "log-file.h"

enum {
    READ_SIZE = 65536,
    RECEIVED_LIMIT = 2 * RIGHTS_LIMIT, /* descriptors that came before their frame was complete */
    NS_PER_S = 1000000000,
    RELEASE_AFTER_NS = 20000000,
};

/* How long a client that takes nothing may hold up others: PROTOCOL.md, section 4. */
#ifndef STALL_LIMIT_S
#define STALL_LIMIT_S 30
#endif

/* A daemon's connection. */
struct connection {
    struct connection *next;
    int socket;
    bool inherited;
    bool closing;
    struct frame_reader frames;
    int received[RECEIVED_LIMIT]; /* descriptors of frames, in their order */
    size_t received_count;
};

struct supervisor {
    enum launch_state state;
    bool prepare_asked, prepared, plan_asked, plan_taken, start_asked;
    uint32_t prepare_namespaces;
    pid_t child;
    struct exit_report report;

    bool tty, open_stdin, stdin_once;
    int stdin_fd, stdout_fd, stderr_fd; /* -1: closed; with a terminal stdin and stdout are its master */
    int signals;

    char exit_name[256], socket_path[4096];
    bool has_oom_counter;
    uint64_t oom_kills_before;

    struct log_file log;
    int log_error; /* the last that the daemon was told of */

    struct connection *connections;
    struct attach_client *clients;
    uint8_t *scratch; /* READ_SIZE bytes */
};

/* The time of day in ns since the epoch. */
uint64_t now_ns(clockid_t clock);

/* control.c */
int listen_for_daemons(const char *path); /* the socket is LISTEN_FD then */
bool accept_daemon(struct supervisor *supervisor); /* false when nobody is waiting */
struct connection *add_connection(struct supervisor *supervisor, int socket, bool inherited);
void receive_requests(struct supervisor *supervisor, struct connection *connection);
void remove_closed_connections(struct supervisor *supervisor);
/* Closes those that hold no client, now or any more. */
void close_idle_connections(struct supervisor *supervisor);
void tell_all(struct supervisor *supervisor, const uint8_t *frame, size_t length);
void tell_warning(struct supervisor *supervisor, const struct failure *warning);

/* supervise.c: from exec to the last byte of the last client. `release` lets go what only the launch needed, once the process
 * has run for a while: each detached mount that goes waits for all processors (RCU), and an exit is not to wait for that. */
void supervise(struct supervisor *supervisor, void (*release)(void));
