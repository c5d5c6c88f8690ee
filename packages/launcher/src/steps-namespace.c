/* Steps that make the child and put it into its namespaces and cgroups. */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

#include "descriptors.h"
#include "failure.h"
#include "kernel.h"
#include "paths.h"

#include <linux/sched.h>

static const struct {
    uint32_t bit;
    uint64_t flag;
    const char *name;
} namespace_table[] = {
    {NAMESPACE_CGROUP, CLONE_NEWCGROUP, "cgroup"}, {NAMESPACE_IPC, CLONE_NEWIPC, "ipc"},
    {NAMESPACE_MOUNT, CLONE_NEWNS, "mnt"},         {NAMESPACE_NET, CLONE_NEWNET, "net"},
    {NAMESPACE_PID, CLONE_NEWPID, "pid"},          {NAMESPACE_USER, CLONE_NEWUSER, "user"},
    {NAMESPACE_UTS, CLONE_NEWUTS, "uts"},
};

static uint64_t clone_flags(uint32_t namespaces)
{
    uint64_t flags = 0;

    for (size_t i = 0; i < sizeof namespace_table / sizeof *namespace_table; i++)
        if (namespaces & namespace_table[i].bit)
            flags |= namespace_table[i].flag;
    return flags;
}

int open_child_proc(const struct launch *launch, const char *name, int flags)
{
    char path[64];

    join_text(path, sizeof path, "/proc/", decimal((uint64_t)launch->child), "/", name, NULL);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        set_detail(path, NULL);
    return fd < 0 ? -1 : keep_from_slots(fd);
}

static int write_child_proc(const struct launch *launch, const char *name, const char *text)
{
    int fd = open_child_proc(launch, name, O_WRONLY);

    if (fd < 0)
        return -1;
    int result = write_once(fd, text, strlen(text)), error = errno;
    close(fd);
    errno = error;
    if (result < 0)
        set_detail("/proc/", decimal((uint64_t)launch->child), "/", name, NULL);
    return result;
}

int clone_child(struct launch *launch, uint32_t namespaces, uint32_t cgroup_slot)
{
    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_FILES | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | clone_flags(namespaces),
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };

    if (cgroup_slot != NO_SLOT) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)slot_fd(cgroup_slot);
    }
    launch->new_user_namespace = namespaces & NAMESPACE_USER;
    launch->child_namespaces = namespaces;
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0)
        return -1;
    if (pid == 0) {
        launch->in_child = true;
        return 0;
    }
    launch->child = (pid_t)pid;
    return move_descriptor(pidfd, CHILD_PIDFD) < 0 ? -1 : 0;
}

/* A child that was made ahead is the one, if it is what the plan wants. */
int step_clone(struct launch *launch, const struct step *step)
{
    if (launch->child && (launch->child_namespaces != step->namespaces.bits || step->slot != NO_SLOT))
        kill_child(launch);
    if (!launch->child && (clone_child(launch, step->namespaces.bits, step->slot) < 0 || launch->in_child))
        return launch->in_child ? 0 : -1;
    return open_exec_label(launch);
}

static int write_cgroup_file(const struct launch *launch, const struct step *step, const char *file, const char *text)
{
    char path[PATH_LIMIT + 32];
    size_t length = join_text(path, sizeof path, step->at.path, step->at.path[0] ? "/" : "", file, NULL);
    const struct plan_path at = {step->at.base, path};

    if (length > PATH_LIMIT)
        return errno = ENAMETOOLONG, -1;
    int fd = open_plan_path(launch, &at, O_WRONLY, 0);
    if (fd < 0)
        return -1;
    int result = write_once(fd, text, strlen(text)), error = errno;
    close(fd);
    errno = error;
    return result;
}

/* The child moves itself by "0" in `tasks` where there is one (v1): the kernel then need not stop the world (a grace period of
 * several ms) as it does for another process or a whole thread group. */
int step_enter_cgroup(const struct launch *launch, const struct step *step)
{
    if (!launch->in_child)
        return write_cgroup_file(launch, step, "cgroup.procs", decimal((uint64_t)launch->child));
    int result = write_cgroup_file(launch, step, "tasks", "0");
    return result < 0 && errno == ENOENT ? write_cgroup_file(launch, step, "cgroup.procs", "0") : result;
}

int step_open_pidfd(const struct step *step)
{
    int fd = pidfd_open((pid_t)step->open_pidfd.pid, 0);

    return fd < 0 ? -1 : move_descriptor(fd, slot_fd(step->slot));
}

int step_open_child_namespace(const struct launch *launch, const struct step *step)
{
    char name[16];
    size_t i = 0;

    while (namespace_table[i].bit != step->namespaces.bits)
        i++;
    join_text(name, sizeof name, "ns/", namespace_table[i].name, NULL);
    int fd = open_child_proc(launch, name, O_RDONLY);
    return fd < 0 ? -1 : move_descriptor(fd, slot_fd(step->slot));
}

int become_namespace_root(void)
{
    if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) {
        set_detail("root of the user namespace", NULL);
        return -1;
    }
    return protect_child();
}

/* What was made before is not in the namespaces that the launcher goes to now: `clone` must not take it. */
static void outdate_prepared_child(struct launch *launch)
{
    if (!launch->in_child)
        launch->child_namespaces = UINT32_MAX;
}

int step_join_namespaces(struct launch *launch, const struct step *step)
{
    outdate_prepared_child(launch);
    int pidfd = step->slot == NO_SLOT ? LAUNCHER_PIDFD : slot_fd(step->slot);
    if (setns(pidfd, (int)clone_flags(step->namespaces.bits)) < 0)
        return -1;
    /* run_child makes it the root, as after a clone */
    if (launch->in_child && step->namespaces.bits & NAMESPACE_USER)
        launch->new_user_namespace = true;
    return 0;
}

/* The mounts are held until the supervisor ends. If the process were their last user, its exit would wait until all of them are
 * unmounted and the whole file system below the overlay is written to disk. */
static int hold_mount_namespace(void)
{
    int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

    set_detail("/proc/self/ns/mnt", NULL);
    return fd < 0 ? -1 : move_descriptor(fd, MOUNT_NAMESPACE_FD);
}

int step_unshare(struct launch *launch, const struct step *step)
{
    outdate_prepared_child(launch);
    if (unshare((int)clone_flags(step->namespaces.bits)) < 0)
        return -1;
    return launch->in_child && step->namespaces.bits & NAMESPACE_MOUNT ? hold_mount_namespace() : 0;
}

int step_id_map(const struct launch *launch, const struct step *step)
{
    char text[340 * 36];
    size_t length = 0;

    for (uint32_t i = 0; i < step->id_map.count; i++) {
        const struct id_mapping *map = &step->id_map.mappings[i];
        const uint32_t numbers[] = {map->container_id, map->host_id, map->size};
        for (size_t n = 0; n < 3; n++)
            length += join_text(text + length, sizeof text - length, decimal(numbers[n]), n == 2 ? "\n" : " ", NULL);
    }
    return write_child_proc(launch, step->id_map.kind == MAP_UID ? "uid_map" : "gid_map", text);
}

int step_set_oom_score_adj(const struct launch *launch, const struct step *step)
{
    int32_t score = step->oom_score_adj.score;
    char text[16];

    join_text(text, sizeof text, score < 0 ? "-" : "", decimal((uint64_t)(score < 0 ? -score : score)), NULL);
    return write_child_proc(launch, "oom_score_adj", text);
}
