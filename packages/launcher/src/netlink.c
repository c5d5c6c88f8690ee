/* Netlink requests and their acknowledgements, netlink(7). */
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failure.h"
#include "kernel.h"
#include "launch.h"

/* The kernel's own words (an extended acknowledgement) become the detail. They follow the errno and the echo of the request,
 * of which there is only the header (NETLINK_CAP_ACK). */
static void tell_reason(const struct nlmsghdr *header)
{
    const char *bytes = (const char *)header;
    uint32_t at = NLMSG_LENGTH(sizeof(struct nlmsgerr));

    if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
        return;
    while (at + NLA_HDRLEN <= header->nlmsg_len) {
        struct nlattr attribute;
        memcpy(&attribute, bytes + at, sizeof attribute);
        if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > header->nlmsg_len - at)
            return;
        const char *text = bytes + at + NLA_HDRLEN;
        if ((attribute.nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG && memchr(text, 0, attribute.nla_len - NLA_HDRLEN))
            set_detail(text, NULL);
        at += (uint32_t)NLA_ALIGN(attribute.nla_len);
    }
}

/* Reads answers until the acknowledgement of this request. */
static int await_acknowledgement(int socket, uint32_t sequence)
{
    char answer[8192] __attribute__((aligned(8)));

    for (;;) {
        ssize_t length = recv(socket, answer, sizeof answer, 0);
        if (length < 0)
            return -1;
        size_t left = (size_t)length;
        for (struct nlmsghdr *header = (struct nlmsghdr *)answer; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_seq != sequence || header->nlmsg_type != NLMSG_ERROR)
                continue;
            if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
                return errno = EBADMSG, -1;
            const struct nlmsgerr *error = NLMSG_DATA(header);
            errno = -error->error;
            if (error->error)
                tell_reason(header);
            return error->error ? -1 : 0;
        }
    }
}

static int request(int socket, struct bytes message, uint32_t sequence)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct nlmsghdr header;

    memcpy(&header, message.data, sizeof header);
    if (header.nlmsg_len != message.length)
        return errno = EBADMSG, -1;
    header.nlmsg_seq = sequence;
    header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)(uintptr_t)(message.data + sizeof header), message.length - sizeof header},
    };
    const struct msghdr sent = {
        .msg_name = (void *)(uintptr_t)&kernel, .msg_namelen = sizeof kernel, .msg_iov = parts, .msg_iovlen = 2,
    };
    return sendmsg(socket, &sent, 0) < 0 ? -1 : await_acknowledgement(socket, sequence);
}

int step_netlink(const struct step *step)
{
    const int on = 1;
    int result = 0, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)step->netlink.protocol);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on) < 0)
        result = -1;
    for (uint32_t i = 0; result == 0 && i < step->netlink.count; i++)
        result = request(fd, step->netlink.messages[i], i + 1);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

void raise_loopback(void)
{
    const struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
}
