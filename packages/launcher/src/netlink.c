/* One netlink request and its acknowledgement, netlink(7). */
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel.h"
#include "launch.h"

enum { SEQUENCE = 1 };

/* Reads answers until the acknowledgement of our request. */
static int await_acknowledgement(int socket)
{
    char answer[8192] __attribute__((aligned(8)));

    for (;;) {
        ssize_t length = recv(socket, answer, sizeof answer, 0);
        if (length < 0)
            return -1;
        size_t left = (size_t)length;
        for (struct nlmsghdr *header = (struct nlmsghdr *)answer; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_seq != SEQUENCE || header->nlmsg_type != NLMSG_ERROR)
                continue;
            if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
                return errno = EBADMSG, -1;
            const struct nlmsgerr *error = NLMSG_DATA(header);
            errno = -error->error;
            return error->error ? -1 : 0;
        }
    }
}

int step_netlink(const struct step *step)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct nlmsghdr header;

    memcpy(&header, step->netlink.message.data, sizeof header);
    if (header.nlmsg_len != step->netlink.message.length)
        return errno = EBADMSG, -1;
    header.nlmsg_seq = SEQUENCE;
    header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)step->netlink.protocol);
    if (fd < 0)
        return -1;
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)(uintptr_t)(step->netlink.message.data + sizeof header), step->netlink.message.length - sizeof header},
    };
    struct msghdr message = {
        .msg_name = (void *)(uintptr_t)&kernel, .msg_namelen = sizeof kernel, .msg_iov = parts, .msg_iovlen = 2,
    };
    int result = sendmsg(fd, &message, 0) < 0 ? -1 : await_acknowledgement(fd);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}
