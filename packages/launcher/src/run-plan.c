/* Executes a plan, both sides of it: PROTOCOL.md, "Two processes, one descriptor table". */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "baton.h"
#include "descriptors.h"
#include "failure.h"
#include "kernel.h"
#include "launch.h"

static int set_name(const struct step *step)
{
    const char *name = step->name.name;

    set_detail(name, NULL);
    return step->op == OP_SET_HOSTNAME ? sethostname(name, strlen(name)) : setdomainname(name, strlen(name));
}

int run_step(struct launch *launch, const struct step *step)
{
    switch ((enum op)step->op) {
    case OP_MKDIR: return step_mkdir(launch, step);
    case OP_SYMLINK: return step_symlink(launch, step);
    case OP_MKNOD: return step_mknod(launch, step);
    case OP_WRITE_FILE: return step_write_file(launch, step);
    case OP_ENTER_CGROUP: return step_enter_cgroup(launch, step);
    case OP_OPEN_PATH: return step_open_path(launch, step);
    case OP_OPEN_PIDFD: return step_open_pidfd(step);
    case OP_OPEN_CHILD_NAMESPACE: return step_open_child_namespace(launch, step);
    case OP_JOIN_NAMESPACES: return step_join_namespaces(launch, step);
    case OP_UNSHARE: return step_unshare(launch, step);
    case OP_CLONE: return step_clone(launch, step);
    case OP_ID_MAP: return step_id_map(launch, step);
    case OP_CLONE_TREE: return step_clone_tree(launch, step);
    case OP_SET_MOUNT_ATTRIBUTES: return step_set_mount_attributes(step);
    case OP_NEW_MOUNT: return step_new_mount(launch, step);
    case OP_ATTACH_MOUNT: return step_attach_mount(launch, step);
    case OP_SET_ROOT_PROPAGATION: return step_set_root_propagation(step);
    case OP_MASK_PATH: return step_mask_path(launch, step);
    case OP_READ_ONLY_PATH: return step_read_only_path(launch, step);
    case OP_PIVOT_ROOT: return step_pivot_root(step);
    case OP_CHANGE_ROOT: return step_change_root(step);
    case OP_SET_HOSTNAME:
    case OP_SET_DOMAINNAME: return set_name(step);
    case OP_NETLINK: return step_netlink(step);
    case OP_SET_RLIMIT: return step_set_rlimit(launch, step);
    case OP_SET_UMASK: launch->umask = step->umask.mask; return 0;
    case OP_SET_OOM_SCORE_ADJ: return step_set_oom_score_adj(launch, step);
    case OP_OPEN_PTY: return step_open_pty(launch, step);
    case OP_NEW_SESSION_KEYRING: return step_new_session_keyring();
    case OP_SET_EXEC_LABEL: return step_set_exec_label(step);
    case OP_SET_NO_NEW_PRIVILEGES: return step_set_no_new_privileges();
    case OP_SET_CREDENTIALS: return step_set_credentials(launch, step);
    case OP_SET_SECCOMP: return take_own_descriptors(launch) < 0 ? -1 : step_set_seccomp(step);
    case OP_CHANGE_DIRECTORY: return step_change_directory(step);
    case OP_EXEC: return step_exec(launch, step);
    case OP_ATTACH_DEVICE_PROGRAM: return step_attach_device_program(launch, step);
    case OP_NEW_OVERLAY_BY_PATH: return step_new_overlay_by_path(step);
    }
    return errno = ENOSYS, -1;
}

bool plan_leaves_detached(const struct plan *plan, uint32_t slot)
{
    bool detached = false;

    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct step *step = &plan->steps[i];
        if (step->slot != slot)
            continue;
        if (step->op == OP_CLONE_TREE || step->op == OP_NEW_MOUNT || step->op == OP_NEW_OVERLAY_BY_PATH)
            detached = true;
        if (step->op == OP_ATTACH_MOUNT || step->op == OP_PIVOT_ROOT)
            return false;
    }
    return detached;
}

/* What the failure of this step is to be called: the detail it left, or its path. */
static struct failure failure_of(uint32_t index, const struct step *step)
{
    struct failure failure = {.step = index, .error = errno};

    join_text(failure.detail, sizeof failure.detail, *get_detail() ? get_detail() : step->at.path, NULL);
    return failure;
}

_Noreturn void run_child(struct launch *launch)
{
    const struct plan *plan = launch->plan;
    struct baton_message message;

    if (protect_child() < 0)
        _exit(1);
    while (receive_baton(CHILD_BATON_FD, &message) == 1) {
        if (message.kind == BATON_WAKE) {
            expect_baton(CHILD_BATON_FD);
            continue;
        }
        if (message.kind != BATON_GO)
            break;
        uint32_t i = message.failure.step;
        for (; i < plan->step_count && plan->steps[i].side == SIDE_CONTAINER; i++) {
            const struct step *step = &plan->steps[i];
            clear_detail();
            /* cgroups are entered with the launcher's own ids, which steps ahead do not change: PROTOCOL.md, enter-cgroup */
            int result = 0;
            if (launch->new_user_namespace && !step->ahead && step->op != OP_ENTER_CGROUP && step->op != OP_UNSHARE) {
                launch->new_user_namespace = false;
                result = become_namespace_root();
            }
            if (result == 0)
                result = run_step(launch, step);
            if (result >= 0)
                continue;
            struct failure failure = failure_of(i, step);
            send_baton(CHILD_BATON_FD, step->optional ? BATON_WARNING : BATON_FAILED, &failure);
            if (!step->optional)
                _exit(1);
        }
        struct failure next = {.step = i};
        if (send_baton(CHILD_BATON_FD, BATON_BACK, &next) < 0)
            break;
    }
    _exit(1);
}

/* Once the child has a table of its own, its descriptors here would keep pipes and the baton open. */
static int close_what_the_child_has(const struct plan *plan)
{
    if (plan->supervisor.tty && dup3(CHILD_STDIN_FD, TERMINAL_FD, O_CLOEXEC) < 0)
        return -1;
    for (int fd = CHILD_STDIN_FD; fd <= SELF_EXE_FD; fd++)
        close(fd);
    close(EXEC_LABEL_FD);
    close(MASK_FILE_FD);
    close(MASK_DIRECTORY_FD);
    return 0;
}

static void fill(struct failure *failure, uint32_t step, int error, const char *detail)
{
    failure->step = step;
    failure->error = error;
    join_text(failure->detail, sizeof failure->detail, detail, NULL);
}

/* Whether the daemon has gone away, which before exec cancels the launch. */
static bool cancelled(const struct pollfd *control)
{
    return control->revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* Waits for the child, which works from step `*index` on. Returns 0 when it has handed the baton back (`*index`: the next step), 1
 * when the process runs, -1 with `failure` when neither will happen. */
static int await_child(const struct launch *launch, uint32_t *index, warn_function *warn, struct failure *failure)
{
    struct pollfd waits[] = {
        {.fd = HOST_BATON_FD, .events = POLLIN},
        {.fd = CHILD_PIDFD, .events = POLLIN},
        {.fd = CONTROL_FD, .events = POLLRDHUP},
    };
    struct baton_message message;
    bool executing = false;

    for (;;) {
        if (poll(waits, 3, -1) < 0)
            return fill(failure, *index, errno, "baton"), -1;
        if (cancelled(&waits[2]))
            return fill(failure, *index, ECANCELED, "the daemon has gone away"), -1;
        if (!waits[0].revents) {
            /* the child ended without a word: killed, out of memory perhaps */
            return fill(failure, *index, ECHILD, "the process was killed while it was made"), -1;
        }
        int received = receive_baton(HOST_BATON_FD, &message);
        if (received == 0 && executing)
            return 1;
        if (received <= 0)
            return fill(failure, *index, received < 0 ? errno : ECHILD, "baton"), -1;
        switch ((enum baton)message.kind) {
        case BATON_BACK:
            if (message.failure.step <= *index || message.failure.step >= launch->plan->step_count)
                return fill(failure, *index, EBADMSG, "baton"), -1;
            *index = message.failure.step;
            return 0;
        case BATON_WARNING:
            warn(&message.failure);
            break;
        case BATON_UNSHARED:
            if (close_what_the_child_has(launch->plan) < 0)
                return fill(failure, *index, errno, "descriptors"), -1;
            break;
        case BATON_EXEC:
            executing = true;
            *index = launch->plan->step_count - 1;
            break;
        default:
            *failure = message.failure;
            if (failure->step == NO_STEP) /* from the init */
                failure->step = *index;
            return -1;
        }
    }
}

/* The baton, and what the child must be able to use of the launcher. Once. */
static int make_baton(struct launch *launch)
{
    int ends[2];

    if (launch->has_baton)
        return 0;
    umask(0);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    if (move_descriptor(ends[0], HOST_BATON_FD) < 0 || move_descriptor(ends[1], CHILD_BATON_FD) < 0)
        return -1;
    int self = pidfd_open(getpid(), 0);
    launch->has_baton = self >= 0 && move_descriptor(self, LAUNCHER_PIDFD) >= 0;
    return launch->has_baton ? 0 : -1;
}

/* What pid 1 is made from, if the plan wants one. */
static int open_init(const struct plan *plan)
{
    if (!plan->steps[plan->step_count - 1].exec.init)
        return 0;
    int image = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return image < 0 ? -1 : move_descriptor(image, SELF_EXE_FD) < 0 ? -1 : 0;
}

void prepare_child(struct launch *launch, uint32_t namespaces)
{
    if (make_baton(launch) < 0 || clone_child(launch, namespaces, NO_SLOT) < 0 || !launch->in_child)
        return;
    if (namespaces & NAMESPACE_NET)
        raise_loopback();
    run_child(launch);
}

void wake_child(const struct launch *launch)
{
    /* where it has died, the plan's steps will tell */
    if (launch->child)
        send_baton(HOST_BATON_FD, BATON_WAKE, NULL);
}

void kill_child(struct launch *launch)
{
    siginfo_t info;

    if (!launch->child)
        return;
    /* by pid: it cannot be another's, since nobody has waited for it yet */
    kill(launch->child, SIGKILL);
    while (waitid(P_PID, (id_t)launch->child, &info, WEXITED) < 0 && errno == EINTR)
        continue;
    launch->child = 0;
}

/* Lets the child work from step `index` on. */
static int let_child_work(uint32_t index, struct failure *failure)
{
    const struct failure go = {.step = index};

    return send_baton(HOST_BATON_FD, BATON_GO, &go) < 0 ? fill(failure, index, errno, "baton"), -1 : 0;
}

/* Does a step of the host's side. Returns -1 with `failure` where the launch ends with it. */
static int work(struct launch *launch, uint32_t index, warn_function *warn, struct failure *failure)
{
    const struct step *step = &launch->plan->steps[index];

    clear_detail();
    if (run_step(launch, step) >= 0)
        return 0;
    *failure = failure_of(index, step);
    if (!step->optional || step->op == OP_CLONE)
        return -1;
    warn(failure);
    return 0;
}

/* Both sides, in the plan's order; steps ahead beside the host's that follow them. Returns 0 when the process runs. */
static int run_steps(struct launch *launch, warn_function *warn, struct failure *failure)
{
    const struct plan *plan = launch->plan;
    uint32_t ahead = NO_STEP; /* where the child began what it does ahead, until it has been waited for */

    for (uint32_t i = 0; i < plan->step_count;) {
        if (plan->steps[i].side == SIDE_HOST) {
            if (work(launch, i, warn, failure) < 0)
                return -1;
            if (launch->in_child)
                run_child(launch);
            i++;
            continue;
        }
        if (ahead != NO_STEP && await_child(launch, &ahead, warn, failure) != 0)
            return -1;
        ahead = NO_STEP;
        if (let_child_work(i, failure) < 0)
            return -1;
        if (plan->steps[i].ahead) {
            ahead = i;
            while (plan->steps[i].side == SIDE_CONTAINER)
                i++;
            continue;
        }
        int result = await_child(launch, &i, warn, failure);
        if (result != 0)
            return result > 0 ? 0 : -1;
    }
    return fill(failure, NO_STEP, EINVAL, "a plan without exec"), -1;
}

int run_plan(struct launch *launch, warn_function *warn, struct failure *failure)
{
    clear_detail();
    if (make_baton(launch) < 0 || open_init(launch->plan) < 0)
        return fill(failure, NO_STEP, errno, "preparation"), -1;
    if (run_steps(launch, warn, failure) == 0)
        return 0;
    kill_child(launch);
    return -1;
}
