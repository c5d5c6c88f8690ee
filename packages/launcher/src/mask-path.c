/* Hides or write-protects paths of the container, as Docker's maskedPaths and readonlyPaths. Targets are opened without following
 * any symlink, and the mount goes onto the very descriptor that was looked at. */
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "descriptors.h"
#include "kernel.h"
#include "paths.h"

/* The target; -1 with errno 0 where it is missing and so nothing is to be done. */
static int open_target(const struct launch *launch, const struct plan_path *at)
{
    int target = open_plan_path(launch, at, O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);

    if (target < 0 && (errno == ENOENT || errno == ENOTDIR))
        errno = 0;
    return target;
}

/* Attaches a clone of the mount at `source` to the target. */
static int cover(int source, int target, unsigned clone_flags, const struct mount_attr *attr)
{
    int tree = open_tree(source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | clone_flags);

    if (tree < 0)
        return -1;
    int result = attr ? mount_setattr(tree, "", AT_EMPTY_PATH | clone_flags, (struct mount_attr *)attr, sizeof *attr) : 0;
    if (result == 0)
        result = move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    int error = errno;
    close(tree);
    errno = error;
    return result;
}

/* /dev/null of this root: the device, not whatever has its name. Kept for the next file. */
static int null_device(void)
{
    static bool kept;
    struct stat status;

    if (kept)
        return MASK_FILE_FD;
    int fd = openat2(AT_FDCWD, "/dev/null", O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3)) {
        close(fd);
        return errno = ENODEV, -1;
    }
    kept = true;
    return move_descriptor(fd, MASK_FILE_FD);
}

/* Covers the first directory with a new tmpfs; later ones with clones of that mount. */
static int cover_directory(int target)
{
    static bool kept;

    if (kept)
        return cover(MASK_DIRECTORY_FD, target, 0, NULL);
    int context = fsopen("tmpfs", FSOPEN_CLOEXEC), mount = -1;
    if (context < 0)
        return -1;
    if (fsconfig(context, FSCONFIG_SET_STRING, "nr_blocks", "1", 0) == 0 &&
        fsconfig(context, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) == 0 &&
        fsconfig(context, FSCONFIG_SET_STRING, "mode", "0555", 0) == 0 &&
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount = fsmount(context, FSMOUNT_CLOEXEC,
                        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    int error = errno;
    close(context);
    errno = error;
    if (mount < 0 || move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return -1;
    kept = true;
    return move_descriptor(mount, MASK_DIRECTORY_FD);
}

int step_mask_path(const struct launch *launch, const struct step *step)
{
    struct stat status;
    int target = open_target(launch, &step->at), result = -1;

    if (target < 0)
        return errno ? -1 : 0;
    if (fstat(target, &status) == 0 && S_ISDIR(status.st_mode)) {
        result = cover_directory(target);
    } else {
        int null = null_device();
        result = null < 0 ? -1 : cover(null, target, 0, NULL);
    }
    int error = errno;
    close(target);
    errno = error;
    return result < 0 ? -1 : 0;
}

int step_read_only_path(const struct launch *launch, const struct step *step)
{
    const struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    int target = open_target(launch, &step->at);

    if (target < 0)
        return errno ? -1 : 0;
    int result = cover(target, target, AT_RECURSIVE, &read_only), error = errno;
    close(target);
    errno = error;
    return result;
}
