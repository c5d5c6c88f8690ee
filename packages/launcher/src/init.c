/* `--init`: pid 1 of a container, which reaps, passes signals on and ends as its child does (as tini does). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "baton.h"
#include "descriptors.h"
#include "launch.h"

static _Noreturn void fail(void)
{
    struct failure failure = {.step = NO_STEP, .error = errno};

    join_text(failure.detail, sizeof failure.detail, get_detail(), NULL);
    send_baton(CHILD_BATON_FD, BATON_FAILED, &failure);
    _exit(127);
}

/* In a process group of its own, in the foreground where there is a terminal, then exec. */
static _Noreturn void run_command(char **argv, char **env)
{
    sigset_t none;

    setpgid(0, 0);
    if (isatty(0))
        tcsetpgrp(0, getpid());
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    exec_by_path(argv, env);
    fail();
}

/* Reaps everything that has ended. Ends with the command's status when it is among them. */
static void reap(pid_t command)
{
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != command)
            continue;
        _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
}

_Noreturn void run_init(char **argv, char **env)
{
    sigset_t all;

    if (fcntl(CHILD_BATON_FD, F_SETFD, FD_CLOEXEC) < 0)
        _exit(127);
    prctl(PR_SET_NAME, INIT_NAME);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        fail();
    pid_t command = fork();
    if (command < 0)
        fail();
    if (command == 0)
        run_command(argv, env);
    close(CHILD_BATON_FD);
    for (;;) {
        siginfo_t info;
        int signal = sigwaitinfo(&all, &info);
        if (signal == SIGCHLD)
            reap(command);
        else if (signal > 0 && signal != SIGTTIN && signal != SIGTTOU)
            kill(command, signal);
    }
}
