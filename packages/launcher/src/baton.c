#include "baton.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int send_baton(int descriptor, enum baton kind, const struct failure *failure)
{
    struct baton_message message = {.kind = kind};

    if (failure)
        message.failure = *failure;
    size_t length = offsetof(struct baton_message, failure.detail) + strlen(message.failure.detail) + 1;
    return send(descriptor, &message, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

void expect_baton(int descriptor)
{
    enum { LIMIT_US = 500 };
    struct timespec start, now;
    char byte;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        if (recv(descriptor, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
            return;
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 < LIMIT_US);
}

int receive_baton(int descriptor, struct baton_message *message)
{
    memset(message, 0, sizeof *message);
    ssize_t length = recv(descriptor, message, sizeof *message, 0);
    message->failure.detail[DETAIL_LIMIT] = 0;
    if (length > 0 && (size_t)length <= offsetof(struct baton_message, failure.detail))
        return errno = EBADMSG, -1;
    return length > 0 ? 1 : (int)length;
}
