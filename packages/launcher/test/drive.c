/* Measures the launcher alone: `drive LAUNCHER PLAN COUNT` starts it COUNT times, one after the other, and prints for each run the
 * microseconds from posix_spawn(3) to EXITED, from the plan to EXITED, and of processor time of all that took part. */
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double processor_time(void)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int copy_to_memory(const char *path)
{
    static char buffer[1 << 22];
    int from = open(path, O_RDONLY | O_CLOEXEC), to = memfd_create("tsd-launch", MFD_CLOEXEC);
    ssize_t length = read(from, buffer, sizeof buffer);

    if (from < 0 || to < 0 || length <= 0 || write(to, buffer, (size_t)length) != length) {
        perror(path);
        exit(2);
    }
    close(from);
    return to;
}

/* Reads frames until EXITED. */
static void await_exit(int control)
{
    uint8_t frame[4096];

    for (;;) {
        uint32_t length;
        if (recv(control, &length, 4, MSG_WAITALL) != 4 || length > sizeof frame ||
            recv(control, frame, length, MSG_WAITALL) != (ssize_t)length) {
            fputs("the launcher went away\n", stderr);
            exit(2);
        }
        if (frame[0] == 0x84) {
            fprintf(stderr, "step %u: errno %u: %.*s\n", frame[1] | frame[2] << 8, frame[5], (int)length - 13, frame + 13);
            exit(1);
        }
        if (frame[0] == 0x85)
            return;
    }
}

static void send_plan(int control, int plan)
{
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof plan)];
    } rights = {.header = {.cmsg_len = CMSG_LEN(sizeof plan), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {"\1\0\0\0\10", 5};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};

    memcpy(CMSG_DATA(&rights.header), &plan, sizeof plan);
    if (sendmsg(control, &message, 0) != 5 || send(control, "\1\0\0\0\1", 5, 0) != 5)
        exit(2);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int launcher = copy_to_memory(argv[1]), plan = copy_to_memory(argv[2]);
    char path[64], *launcher_argv[] = {"tsd-launch", NULL}, *env[] = {NULL};

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fcntl(launcher, F_DUPFD_CLOEXEC, 50));
    plan = fcntl(plan, F_DUPFD_CLOEXEC, 50);
    double used_before = 0;
    for (int i = atoi(argv[3]); i > 0; i--) {
        int ends[2];
        pid_t pid;
        posix_spawn_file_actions_t actions;
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
        int theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, 50);
        close(ends[1]);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, theirs, 3);
        double before = microseconds();
        if (posix_spawn(&pid, path, &actions, NULL, launcher_argv, env) != 0)
            return 2;
        close(theirs);
        double started = microseconds();
        send_plan(ends[0], plan);
        await_exit(ends[0]);
        double after = microseconds();
        while (wait(NULL) > 0)
            continue;
        double used = processor_time();
        printf("%.0f %.0f %.0f\n", after - before, after - started, used - used_before);
        used_before = used;
        close(ends[0]);
        posix_spawn_file_actions_destroy(&actions);
    }
    return 0;
}
