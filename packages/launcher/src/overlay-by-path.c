/* An overlay as kernels before 6.15 want it: its layers attached in the mount namespace of whoever mounts it, and named by path.
 * A short-lived process does that in a mount namespace of its own, so that neither the host nor the supervisor nor the container
 * ever has them in its mount table. It shares memory and descriptors with the launcher, which waits, as with vfork(2). By
 * mount(2): it works on all kernels, and its options may be longer than fsconfig(2)'s 256 bytes. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"
#include "failure.h"
#include "kernel.h"
#include "launch.h"

enum { STACK_BYTES = 64 * 1024, OPTIONS_BYTES = 4096 };

struct overlay_maker {
    const struct step *step;
    int error; /* 0: the mount is in its slot */
};

static int attach_layers(const struct step *step)
{
    /* nothing of it comes back to the namespace that this one is a copy of */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    /* one upon the other: only that they are attached matters */
    for (uint32_t i = 0; i < step->overlay.layer_count; i++)
        if (move_mount(slot_fd(step->overlay.layers[i]), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
            return set_detail("layer ", decimal(i), NULL), -1;
    return 0;
}

/* Names are descriptors, relative to /proc/self/fd: short, without characters to escape. Returns -1 where a page is too small. */
static int write_options(const struct step *step, int upper, int work, char *options)
{
    size_t length = join_text(options, OPTIONS_BYTES, "index=off,redirect_dir=off,metacopy=off,upperdir=", decimal((uint64_t)upper), NULL);

    length += join_text(options + length, OPTIONS_BYTES - length, ",workdir=", decimal((uint64_t)work), NULL);
    for (uint32_t i = 0; i < step->overlay.layer_count; i++)
        length += join_text(options + length, OPTIONS_BYTES - length, i ? ":" : ",lowerdir=",
                            decimal((uint64_t)slot_fd(step->overlay.layers[i])), NULL);
    return length < OPTIONS_BYTES - 1 ? 0 : fail_with(E2BIG, "too many layers");
}

static int mount_overlay(const struct step *step, int upper, int work)
{
    char options[OPTIONS_BYTES];
    const char *target = step->overlay.work;

    if (write_options(step, upper, work, options) < 0)
        return -1;
    if (chdir("/proc/self/fd") < 0)
        return set_detail("/proc/self/fd", NULL), -1;
    if (mount("overlay", target, "overlay", 0, options) < 0)
        return set_detail("overlay by path: ", options, NULL), -1;
    int tree = open_tree(AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return set_detail(target, NULL), -1;
    return move_descriptor(tree, slot_fd(step->slot));
}

static int make_overlay(void *argument)
{
    struct overlay_maker *maker = argument;
    const struct step *step = maker->step;
    int upper = open(step->overlay.upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int work = open(step->overlay.work, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (upper < 0 || work < 0)
        set_detail(upper < 0 ? step->overlay.upper : step->overlay.work, NULL);
    else if (attach_layers(step) == 0 && mount_overlay(step, upper, work) >= 0)
        maker->error = 0;
    if (maker->error)
        maker->error = errno;
    /* the descriptors are the launcher's too */
    close(upper);
    close(work);
    return 0;
}

int step_new_overlay_by_path(const struct step *step)
{
    static char stack[STACK_BYTES] __attribute__((aligned(16)));
    struct overlay_maker maker = {.step = step, .error = EINTR};

    /* without a signal at its end */
    int pid = clone(make_overlay, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_NEWNS, &maker);
    if (pid < 0)
        return -1;
    while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
        continue;
    if (maker.error)
        return errno = maker.error, -1;
    const struct step attributes = {
        .op = OP_SET_MOUNT_ATTRIBUTES,
        .slot = step->slot,
        .attributes = {.set = step->overlay.attributes, .idmap = NO_SLOT},
    };
    return step_set_mount_attributes(&attributes);
}
