/* Steps that shape the process itself. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "descriptors.h"
#include "failure.h"
#include "kernel.h"
#include "paths.h"

/* prctl(2) PR_SET_PDEATHSIG and PR_SET_DUMPABLE; both are lost when credentials change. */
int protect_child(void)
{
    struct pollfd launcher = {.fd = LAUNCHER_PIDFD, .events = POLLIN};

    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    /* the launcher may have died before it asked to be told */
    if (poll(&launcher, 1, 0) != 0)
        _exit(1);
    return 0;
}

int step_set_rlimit(const struct launch *launch, const struct step *step)
{
    const struct rlimit limit = {.rlim_cur = step->rlimit.soft, .rlim_max = step->rlimit.hard};

    return prlimit(launch->in_child ? 0 : launch->child, step->rlimit.resource, &limit, NULL);
}

/* keyctl(2) KEYCTL_JOIN_SESSION_KEYRING: an anonymous one, so that the daemon's keys stay out of the container. */
int step_new_session_keyring(void)
{
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 ? -1 : 0;
}

/* A process may write only its own label, but the child may not open its /proc (it cannot be dumped, so the files are the
 * host root's). The launcher opens it for the child. */
int open_exec_label(const struct launch *launch)
{
    for (uint32_t i = 0; i < launch->plan->step_count; i++) {
        const struct step *step = &launch->plan->steps[i];
        if (step->op != OP_SET_EXEC_LABEL)
            continue;
        int fd = -1;
        if (step->exec_label.module == LABEL_APPARMOR)
            fd = open_child_proc(launch, "attr/apparmor/exec", O_WRONLY);
        if (fd < 0)
            fd = open_child_proc(launch, "attr/exec", O_WRONLY);
        return fd < 0 ? 0 : move_descriptor(fd, EXEC_LABEL_FD);
    }
    return 0;
}

int step_set_exec_label(const struct step *step)
{
    char text[PATH_LIMIT + 8];

    struct statfs file_system;

    set_detail(step->exec_label.label, NULL);
    /* the launcher could not open it: no such security module */
    if (fstatfs(EXEC_LABEL_FD, &file_system) < 0 || file_system.f_type != PROC_SUPER_MAGIC)
        return errno = EOPNOTSUPP, -1;
    size_t length = join_text(text, sizeof text, step->exec_label.module == LABEL_APPARMOR ? "exec " : "",
                              step->exec_label.label, NULL);
    return write_once(EXEC_LABEL_FD, text, length);
}

int step_set_no_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int step_set_seccomp(const struct step *step)
{
    /* the decoder checked that the program is 1 to 4096 whole instructions */
    struct sock_fprog program = {
        .len = (unsigned short)(step->seccomp.program.length / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(uintptr_t)step->seccomp.program.data,
    };
    unsigned flags = step->seccomp.log ? SECCOMP_FILTER_FLAG_LOG : 0;

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0 ? -1 : 0;
}

/* The directory is opened without magic links (a hostile working directory of /proc/self/fd/N would leave the root: that was
 * CVE-2024-21626), and it must have a name in the root. */
int step_change_directory(const struct step *step)
{
    char name[PATH_LIMIT + 1];

    set_detail(step->directory.path, NULL);
    int fd = openat2(AT_FDCWD, step->directory.path, O_PATH | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);
    if (fd < 0)
        return -1;
    int result = fchdir(fd), error = errno;
    close(fd);
    errno = error;
    if (result < 0)
        return -1;
    /* the system call, since the C library would look for another way */
    long length = syscall(SYS_getcwd, name, sizeof name);
    if (length < 0)
        return -1;
    if (name[0] != '/')
        return errno = ENOENT, -1;
    return 0;
}
