/* Steps that make and open files. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "descriptors.h"
#include "kernel.h"
#include "paths.h"

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

int step_mkdir(const struct launch *launch, const struct step *step)
{
    char buffer[PATH_LIMIT + 1];
    const char *name;

    int parent = open_plan_parent(launch, &step->at, buffer, &name);
    if (parent < 0 && errno == ENOENT && step->mkdir.parents) {
        /* buffer holds the parent's path now */
        struct plan_path above = {step->at.base, buffer};
        parent = open_or_make(launch, &above, CREATE_DIRECTORY);
    }
    if (parent < 0)
        return -1;
    int result = mkdirat(parent, name, step->mkdir.mode);
    if (result == 0) {
        result = own(parent, name, step->mkdir.uid, step->mkdir.gid);
        /* mkdir(2) ignores the set-id bits, and chown clears them */
        if (result == 0 && step->mkdir.mode & 07000)
            result = fchmodat(parent, name, step->mkdir.mode, 0);
        return closing(parent, result);
    }
    closing(parent, 0);
    if (errno != EEXIST || !step->mkdir.parents)
        return -1;
    int existing = open_plan_path(launch, &step->at, O_PATH | O_DIRECTORY, 0);
    return existing < 0 ? -1 : closing(existing, 0);
}

int step_symlink(const struct launch *launch, const struct step *step)
{
    char buffer[PATH_LIMIT + 1];
    const char *name;

    int parent = open_plan_parent(launch, &step->at, buffer, &name);
    return parent < 0 ? -1 : closing(parent, symlinkat(step->symlink.target, parent, name));
}

int step_mknod(const struct launch *launch, const struct step *step)
{
    static const mode_t types[] = {[NODE_CHAR] = S_IFCHR, [NODE_BLOCK] = S_IFBLK, [NODE_FIFO] = S_IFIFO};
    char buffer[PATH_LIMIT + 1];
    const char *name;

    int parent = open_plan_parent(launch, &step->at, buffer, &name);
    if (parent < 0)
        return -1;
    mode_t mode = types[step->mknod.type] | step->mknod.mode;
    int result = mknodat(parent, name, mode, makedev(step->mknod.major, step->mknod.minor));
    if (result == 0)
        result = own(parent, name, step->mknod.uid, step->mknod.gid);
    return closing(parent, result);
}

/* One write(2) of everything; a short one is an error. */
int write_once(int descriptor, const void *data, size_t length)
{
    ssize_t written = write(descriptor, data, length);

    if (written >= 0 && (size_t)written != length)
        errno = EIO;
    return written == (ssize_t)length ? 0 : -1;
}

int step_write_file(const struct launch *launch, const struct step *step)
{
    int fd = -1;

    if (step->write_file.create) {
        int made = open_or_make(launch, &step->at, CREATE_FILE);
        if (made < 0)
            return -1;
        close(made);
    }
    /* a pipe that an image put there must not hold the launch up for ever */
    fd = open_plan_path(launch, &step->at, O_WRONLY | O_NOCTTY | O_NONBLOCK | (step->write_file.create ? O_TRUNC : 0), 0);
    if (fd < 0)
        return -1;
    return closing(fd, write_once(fd, step->write_file.data.data, step->write_file.data.length));
}

int step_open_path(const struct launch *launch, const struct step *step)
{
    int fd = open_plan_path(launch, &step->at, O_PATH | (step->open_path.directory ? O_DIRECTORY : 0), 0);

    return fd < 0 ? -1 : move_descriptor(fd, slot_fd(step->slot));
}
