/* Steps that make and open files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "descriptors.h"
#include "kernel.h"
#include "paths.h"

/* Where `name` is to be made: a descriptor of the directory, AT_FDCWD, or a slot's. `buffer` holds the directory's path where it is
 * opened, and the name. A path of the host's side, which nobody but the daemon chose, is left to the kernel as it is. */
static int open_parent(const struct launch *launch, const struct plan_path *at, char *buffer, const char **name)
{
    if (at->base == NO_SLOT && !launch->in_child) {
        *name = at->path;
        return AT_FDCWD;
    }
    if (at->base != NO_SLOT && at->path[0] && at->path[0] != '.' && !strchr(at->path, '/')) {
        *name = at->path;
        return slot_fd(at->base);
    }
    return open_plan_parent(launch, at, buffer, name);
}

/* Closes what open_parent opened, and returns the result, errno kept. */
static int close_parent(const struct plan_path *at, int parent, int result)
{
    int error = errno;

    if (parent != AT_FDCWD && (at->base == NO_SLOT || parent != slot_fd(at->base)))
        close(parent);
    errno = error;
    return result;
}

/* Gives what was made to its owner; NO_ID leaves an id alone. */
static int own(int parent, const char *name, uint32_t uid, uint32_t gid)
{
    if (uid == NO_ID && gid == NO_ID)
        return 0;
    return fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* Closes and returns the result, errno kept. */
static int closing(int descriptor, int result)
{
    int error = errno;

    close(descriptor);
    errno = error;
    return result;
}

/* The same where directories may be missing on the way. */
static int make_parent(const struct launch *launch, const struct plan_path *at, char *buffer, const char **name)
{
    int parent = open_plan_parent(launch, at, buffer, name);

    if (parent >= 0 || errno != ENOENT)
        return parent;
    /* buffer holds the parent's path now */
    return open_or_make(launch, &(const struct plan_path){at->base, buffer}, CREATE_DIRECTORY);
}

int step_mkdir(const struct launch *launch, const struct step *step)
{
    char buffer[PATH_LIMIT + 1];
    const char *name;

    int parent = open_parent(launch, &step->at, buffer, &name);
    int result = parent == -1 ? -1 : mkdirat(parent, name, step->mkdir.mode);
    if (result < 0 && errno == ENOENT && step->mkdir.parents) {
        if (parent != -1)
            close_parent(&step->at, parent, 0);
        parent = make_parent(launch, &step->at, buffer, &name);
        result = parent < 0 ? -1 : mkdirat(parent, name, step->mkdir.mode);
    }
    if (parent == -1)
        return -1;
    if (result == 0) {
        result = own(parent, name, step->mkdir.uid, step->mkdir.gid);
        /* mkdir(2) ignores the set-id bits, and chown clears them */
        if (result == 0 && step->mkdir.mode & 07000)
            result = fchmodat(parent, name, step->mkdir.mode, 0);
        return close_parent(&step->at, parent, result);
    }
    close_parent(&step->at, parent, 0);
    if (errno != EEXIST || !step->mkdir.parents)
        return -1;
    int existing = open_plan_path(launch, &step->at, O_PATH | O_DIRECTORY, 0);
    return existing < 0 ? -1 : closing(existing, 0);
}

int step_symlink(const struct launch *launch, const struct step *step)
{
    char buffer[PATH_LIMIT + 1];
    const char *name;

    int parent = open_parent(launch, &step->at, buffer, &name);
    return parent == -1 ? -1 : close_parent(&step->at, parent, symlinkat(step->symlink.target, parent, name));
}

int step_mknod(const struct launch *launch, const struct step *step)
{
    static const mode_t types[] = {
        [NODE_CHAR] = S_IFCHR, [NODE_BLOCK] = S_IFBLK, [NODE_FIFO] = S_IFIFO, [NODE_FILE] = S_IFREG,
    };
    char buffer[PATH_LIMIT + 1];
    const char *name;

    int parent = open_parent(launch, &step->at, buffer, &name);
    if (parent == -1)
        return -1;
    mode_t mode = types[step->mknod.type] | step->mknod.mode;
    int result = mknodat(parent, name, mode, makedev(step->mknod.major, step->mknod.minor));
    if (result == 0)
        result = own(parent, name, step->mknod.uid, step->mknod.gid);
    return close_parent(&step->at, parent, result);
}

/* One write(2) of everything; a short one is an error. */
int write_once(int descriptor, const void *data, size_t length)
{
    ssize_t written = write(descriptor, data, length);

    if (written >= 0 && (size_t)written != length)
        errno = EIO;
    return written == (ssize_t)length ? 0 : -1;
}

/* Whether the next step writes to the same file: a cgroup takes its device rules one by one. */
static bool is_written_again(const struct launch *launch, const struct step *step)
{
    const struct step *next = step + 1;

    return next < launch->plan->steps + launch->plan->step_count && next->op == OP_WRITE_FILE && next->side == step->side &&
           !next->write_file.create && next->at.base == step->at.base && !strcmp(next->at.path, step->at.path);
}

int step_write_file(struct launch *launch, const struct step *step)
{
    int fd = launch->written_fd - 1;

    launch->written_fd = 0;
    if (step->write_file.create) {
        int made = open_or_make(launch, &step->at, CREATE_FILE);
        if (made < 0)
            return -1;
        close(made);
    }
    /* a pipe that an image put there must not hold the launch up for ever */
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
        return closing(fd, -1);
    if (fd < 0)
        fd = open_plan_path(launch, &step->at, O_WRONLY | O_NOCTTY | O_NONBLOCK | (step->write_file.create ? O_TRUNC : 0), 0);
    if (fd < 0)
        return -1;
    int result = write_once(fd, step->write_file.data.data, step->write_file.data.length);
    if (result < 0 || !is_written_again(launch, step))
        return closing(fd, result);
    launch->written_fd = fd + 1;
    return 0;
}

int step_open_path(const struct launch *launch, const struct step *step)
{
    int fd = open_plan_path(launch, &step->at, O_PATH | (step->open_path.directory ? O_DIRECTORY : 0), 0);

    return fd < 0 ? -1 : move_descriptor(fd, slot_fd(step->slot));
}
