/* The messages by which launcher and child take turns: PROTOCOL.md, "Two processes, one descriptor table". */
#pragma once

#include <stdint.h>

#include "failure.h"

enum baton { BATON_GO = 1, BATON_BACK, BATON_WARNING, BATON_FAILED, BATON_UNSHARED, BATON_EXEC, BATON_WAKE };

struct baton_message {
    uint32_t kind;
    struct failure failure; /* GO and BACK: only `step`, the next one */
};

/* argv[0] of the launcher's image when it is a container's init. */
#define INIT_NAME "tsd-init"

/* Sends one message; `failure` may be NULL. Returns -1 with errno. */
int send_baton(int descriptor, enum baton kind, const struct failure *failure);

/* Waits awake for a message that is about to come, but not long. */
void expect_baton(int descriptor);

/* Awaits one message. Returns 1, or 0 at the end of the stream, or -1 with errno. */
int receive_baton(int descriptor, struct baton_message *message);
