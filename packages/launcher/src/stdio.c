/* The container process' stdin, stdout and stderr: pipes, or a terminal. The child makes them, so that they are its root's. */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "descriptors.h"
#include "failure.h"
#include "kernel.h"
#include "launch.h"

static int make_pipe(int read_fd, int write_fd)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    return move_descriptor(ends[0], read_fd) < 0 || move_descriptor(ends[1], write_fd) < 0 ? -1 : 0;
}

static int set_nonblocking(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);

    return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

int make_stdio(struct launch *launch)
{
    if (launch->stdio_made)
        return 0;
    launch->stdio_made = true;
    set_detail("stdio", NULL);
    if (launch->plan->supervisor.open_stdin &&
        (make_pipe(CHILD_STDIN_FD, STDIN_WRITE_FD) < 0 || set_nonblocking(STDIN_WRITE_FD) < 0))
        return -1;
    if (make_pipe(STDOUT_READ_FD, CHILD_STDOUT_FD) < 0 || set_nonblocking(STDOUT_READ_FD) < 0)
        return -1;
    if (make_pipe(STDERR_READ_FD, CHILD_STDERR_FD) < 0 || set_nonblocking(STDERR_READ_FD) < 0)
        return -1;
    return 0;
}

/* So that the user can open /dev/stdout by name, as runc's fixStdioPermissions. */
int give_stdio_to(const struct launch *launch, uid_t uid)
{
    if (uid == 0)
        return 0;
    set_detail("owner of stdio", NULL);
    bool tty = launch->plan->supervisor.tty, open_stdin = launch->plan->supervisor.open_stdin;
    int first = launch->own_descriptors ? 0 : CHILD_STDIN_FD;
    for (int fd = tty || open_stdin ? first : first + 1; fd <= (tty ? first : first + 2); fd++)
        if (fchown(fd, uid, (gid_t)-1) < 0)
            return -1;
    return 0;
}

int step_open_pty(struct launch *launch, const struct step *step)
{
    const struct winsize size = {.ws_row = step->pty.rows, .ws_col = step->pty.columns};
    struct statfs file_system;
    int unlock = 0, root = slot_fd(step->slot);

    set_detail("dev/pts/ptmx", NULL);
    int master = openat2(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
    if (master < 0)
        return -1;
    if (fstatfs(master, &file_system) < 0 || file_system.f_type != DEVPTS_SUPER_MAGIC) {
        close(master);
        return errno = ENODEV, -1;
    }
    if (move_descriptor(master, STDIN_WRITE_FD) < 0 || ioctl(STDIN_WRITE_FD, TIOCSPTLCK, &unlock) < 0 ||
        ioctl(STDIN_WRITE_FD, TIOCSWINSZ, &size) < 0)
        return -1;
    /* by the master, not by a path that might be something else */
    int slave = ioctl(STDIN_WRITE_FD, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || move_descriptor(slave, CHILD_STDIN_FD) < 0)
        return -1;
    launch->stdio_made = true;
    return 0;
}
