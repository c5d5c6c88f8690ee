/* One launch: what its two processes know, and the steps they execute. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

struct launch {
    const struct plan *plan;
    pid_t child;            /* as the launcher sees it; 0 before `clone` */
    uint32_t child_namespaces; /* that it was cloned with */
    bool has_baton;
    bool in_child;          /* this is the child */
    bool new_user_namespace; /* the child becomes its root before its next step: PROTOCOL.md, Implied */
    bool stdio_made;
    bool own_descriptors; /* the child has a table of its own, with the stdio on 0-2 */
    uint32_t umask;
    int written_fd; /* one more than the descriptor of the file that the next step writes to again; 0 for none */
};

/* Executes one step in this process. Returns -1 with errno and perhaps a detail. `clone` returns in both processes;
 * `exec` does not return when it succeeds. */
int run_step(struct launch *launch, const struct step *step);

/* Makes the child before the plan is there, for a `clone` step with these namespaces and no cgroup. A failure is the step's to
 * tell: it tries again. */
void prepare_child(struct launch *launch, uint32_t namespaces);

/* A plan has come: tells the child that was made before, since a processor that sleeps takes half a millisecond to wake. */
void wake_child(const struct launch *launch);

/* Executes the whole plan. Returns 0 when the process runs; -1 with `failure` filled when it does not, with nothing left of it. */
struct failure;
typedef void warn_function(const struct failure *warning);
int run_plan(struct launch *launch, warn_function *warn, struct failure *failure);

/* The child's whole life after `clone`. */
_Noreturn void run_child(struct launch *launch);

/* Kills the child, if there is one, and waits for its end. */
void kill_child(struct launch *launch);

/* steps-files.c */
int step_mkdir(const struct launch *launch, const struct step *step);
int step_symlink(const struct launch *launch, const struct step *step);
int step_mknod(const struct launch *launch, const struct step *step);
int step_write_file(struct launch *launch, const struct step *step);
int step_open_path(const struct launch *launch, const struct step *step);
int write_once(int descriptor, const void *data, size_t length);

/* steps-mount.c */
int step_clone_tree(const struct launch *launch, const struct step *step);
int step_set_mount_attributes(const struct step *step);
int step_new_mount(const struct launch *launch, const struct step *step);
int step_attach_mount(const struct launch *launch, const struct step *step);
int step_set_root_propagation(const struct step *step);
int step_pivot_root(const struct step *step);
int step_change_root(const struct step *step);

/* overlay-by-path.c */
int step_new_overlay_by_path(const struct step *step);

/* mask-path.c */
int step_mask_path(const struct launch *launch, const struct step *step);
int step_read_only_path(const struct launch *launch, const struct step *step);

/* steps-namespace.c */
int clone_child(struct launch *launch, uint32_t namespaces, uint32_t cgroup_slot);
int step_clone(struct launch *launch, const struct step *step);
int step_enter_cgroup(const struct launch *launch, const struct step *step);
int step_open_pidfd(const struct step *step);
int step_open_child_namespace(const struct launch *launch, const struct step *step);
int step_join_namespaces(struct launch *launch, const struct step *step);
int step_unshare(struct launch *launch, const struct step *step);
int step_id_map(const struct launch *launch, const struct step *step);
int become_namespace_root(void);

/* steps-process.c */
int step_set_rlimit(const struct launch *launch, const struct step *step);
int step_set_oom_score_adj(const struct launch *launch, const struct step *step);
int step_new_session_keyring(void);
int step_set_exec_label(const struct step *step);
int step_set_no_new_privileges(void);
int step_set_seccomp(const struct step *step);
int step_change_directory(const struct step *step);
int open_exec_label(const struct launch *launch);
int protect_child(void); /* no dump or trace, and death with the launcher */

/* device-program.c */
int step_attach_device_program(const struct launch *launch, const struct step *step);

/* credentials.c */
int step_set_credentials(struct launch *launch, const struct step *step);

/* netlink.c */
int step_netlink(const struct step *step);
/* Brings up `lo` ahead of the plan, which asks for that too and tells what is wrong: the kernel then takes 0.1 ms less for it. */
void raise_loopback(void);

/* stdio.c */
int step_open_pty(struct launch *launch, const struct step *step);
int make_stdio(struct launch *launch);
int give_stdio_to(const struct launch *launch, uid_t uid);

/* exec.c */
int step_exec(struct launch *launch, const struct step *step);
int take_own_descriptors(struct launch *launch);
int exec_by_path(char **argv, char **env);

/* init.c */
_Noreturn void run_init(char **argv, char **env);

/* Places of /proc/CHILD/<name> as the launcher sees it. */
int open_child_proc(const struct launch *launch, const char *name, int flags);
