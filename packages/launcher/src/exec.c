/* The last step: the child becomes the container's process. */
#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "baton.h"
#include "descriptors.h"
#include "failure.h"
#include "kernel.h"
#include "launch.h"

/* The container's own /dev/null; where that is something else, an empty stdin: a pipe that nobody can write into. */
static int make_empty_stdin(void)
{
    struct stat status;
    int fd = openat2(AT_FDCWD, "/dev/null", O_RDONLY | O_NOCTTY | O_NONBLOCK, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);

    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3) &&
        fcntl(fd, F_SETFL, 0) == 0)
        return move_descriptor(fd, CHILD_STDIN_FD);
    if (fd >= 0)
        close(fd);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    close(ends[1]);
    return move_descriptor(ends[0], CHILD_STDIN_FD);
}

/* Closes for both sides what would keep mounts busy that the program, or the host, may want to unmount at once. */
static void close_attached(const struct plan *plan)
{
    for (uint32_t slot = 0; slot < SLOT_LIMIT; slot++)
        if (plan_names_slot(plan, slot) && !plan_leaves_detached(plan, slot))
            close(slot_fd(slot));
}

/* A table of its own with the stdio on 0-2 and, until exec closes them, the baton, the launcher's pidfd and its image. Once. */
int take_own_descriptors(struct launch *launch)
{
    bool tty = launch->plan->supervisor.tty, open_stdin = launch->plan->supervisor.open_stdin;

    if (launch->own_descriptors)
        return 0;
    if (make_stdio(launch) < 0)
        return -1;
    set_detail("stdin", NULL);
    if (!open_stdin && !tty && make_empty_stdin() < 0)
        return -1;
    set_detail("descriptors", NULL);
    close_attached(launch->plan);
    if (close_range(LAUNCHER_PIDFD + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0 ||
        close_range(FIRST_HOST_FD, LAUNCHER_PIDFD - 1, 0) < 0)
        return -1;
    launch->own_descriptors = true;
    if (send_baton(CHILD_BATON_FD, BATON_UNSHARED, NULL) < 0)
        return -1;
    if (setsid() < 0 && errno != EPERM)
        return -1;
    if (tty && ioctl(CHILD_STDIN_FD, TIOCSCTTY, 0) < 0)
        return -1;
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(tty ? CHILD_STDIN_FD : CHILD_STDIN_FD + fd, fd) < 0)
            return -1;
    if (close_range(CONTROL_FD, CHILD_STDERR_FD, 0) < 0)
        return -1;
    clear_detail();
    return 0;
}

static int reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The rules of Go's exec.LookPath, whose errors Docker's clients know: a directory or a file without execute permission on
 * PATH is passed over. */
static bool looks_executable(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_mode & 0111;
}

static const char *find_variable(char **env, const char *name)
{
    size_t length = strlen(name);

    for (; *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return *env + length + 1;
    return NULL;
}

/* execve(2) with a lookup in PATH of `env`. Returns only on failure, with errno and the detail of PROTOCOL.md. */
int exec_by_path(char **argv, char **env)
{
    char path[PATH_LIMIT + 1];
    struct stat status;

    set_detail(argv[0], NULL);
    if (strchr(argv[0], '/')) {
        execve(argv[0], argv, env);
        if (errno == EACCES && stat(argv[0], &status) == 0)
            errno = S_ISDIR(status.st_mode) ? EISDIR : EACCES;
        return -1;
    }
    const char *directories = find_variable(env, "PATH");
    for (const char *at = directories && *argv[0] ? directories : ""; *at;) {
        size_t length = strcspn(at, ":");
        if (at[0] == '/' && length + strlen(argv[0]) + 2 <= sizeof path) {
            memcpy(path, at, length);
            path[length] = 0;
            join_text(path + length, sizeof path - length, "/", argv[0], NULL);
            if (looks_executable(path)) {
                set_detail(path, NULL);
                execve(path, argv, env);
                if (errno != EACCES)
                    return -1;
            }
        }
        at += length + (at[length] == ':');
    }
    set_detail(argv[0], NULL);
    errno = ENOENT;
    return -1;
}

/* Runs the launcher's own image again as pid 1 (init.c): a fresh process, with nothing of the plan in its memory. */
static int exec_init(char **argv, char **env)
{
    size_t count = 0;

    while (argv[count])
        count++;
    char **init_argv = __builtin_alloca((count + 2) * sizeof *init_argv);
    init_argv[0] = (char *)(uintptr_t)INIT_NAME;
    memcpy(init_argv + 1, argv, (count + 1) * sizeof *argv);
    if (fcntl(CHILD_BATON_FD, F_SETFD, 0) < 0)
        return -1;
    set_detail("init", NULL);
    return (int)syscall(SYS_execveat, SELF_EXE_FD, "", init_argv, env, AT_EMPTY_PATH);
}

int step_exec(struct launch *launch, const struct step *step)
{
    if (take_own_descriptors(launch) < 0)
        return -1;
    set_detail("descriptors", NULL);
    if (protect_child() < 0 || send_baton(CHILD_BATON_FD, BATON_EXEC, NULL) < 0)
        return -1;
    umask(launch->umask);
    if (reset_signals() < 0)
        return -1;
    return step->exec.init ? exec_init(step->exec.argv, step->exec.env) : exec_by_path(step->exec.argv, step->exec.env);
}
