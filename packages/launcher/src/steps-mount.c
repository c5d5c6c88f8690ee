/* Steps that make, change and attach mounts, by the mount API that works on descriptors: fsopen(2), open_tree(2),
 * mount_setattr(2), move_mount(2). */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descriptors.h"
#include "failure.h"
#include "kernel.h"
#include "paths.h"

static uint64_t mount_flags(uint32_t attributes)
{
    static const struct { uint32_t bit; uint64_t flag; } table[] = {
        {ATTRIBUTE_RDONLY, MOUNT_ATTR_RDONLY},         {ATTRIBUTE_NOSUID, MOUNT_ATTR_NOSUID},
        {ATTRIBUTE_NODEV, MOUNT_ATTR_NODEV},           {ATTRIBUTE_NOEXEC, MOUNT_ATTR_NOEXEC},
        {ATTRIBUTE_NOATIME, MOUNT_ATTR_NOATIME},       {ATTRIBUTE_RELATIME, MOUNT_ATTR_RELATIME},
        {ATTRIBUTE_STRICTATIME, MOUNT_ATTR_STRICTATIME}, {ATTRIBUTE_NODIRATIME, MOUNT_ATTR_NODIRATIME},
        {ATTRIBUTE_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
    };
    uint64_t flags = 0;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (attributes & table[i].bit)
            flags |= table[i].flag;
    return flags;
}

static bool sets_atime(uint32_t attributes)
{
    return attributes & (ATTRIBUTE_NOATIME | ATTRIBUTE_RELATIME | ATTRIBUTE_STRICTATIME);
}

static unsigned long propagation_flag(uint8_t propagation)
{
    static const unsigned long flags[] = {
        [PROPAGATION_NONE] = 0,           [PROPAGATION_PRIVATE] = MS_PRIVATE,       [PROPAGATION_SLAVE] = MS_SLAVE,
        [PROPAGATION_SHARED] = MS_SHARED, [PROPAGATION_UNBINDABLE] = MS_UNBINDABLE,
    };
    return flags[propagation];
}

int step_clone_tree(const struct launch *launch, const struct step *step)
{
    int at = open_plan_path(launch, &step->at, O_PATH, 0);

    if (at < 0)
        return -1;
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (step->clone_tree.recursive ? AT_RECURSIVE : 0);
    int tree = open_tree(at, "", flags), error = errno;
    close(at);
    errno = error;
    return tree < 0 ? -1 : move_descriptor(tree, slot_fd(step->slot));
}

int step_set_mount_attributes(const struct step *step)
{
    struct mount_attr attr = {
        .attr_set = mount_flags(step->attributes.set),
        .attr_clr = mount_flags(step->attributes.clear),
        .propagation = propagation_flag(step->attributes.propagation),
    };

    /* relatime is 0: the kernel wants the whole atime field cleared where one of its values is set */
    if (sets_atime(step->attributes.set) || sets_atime(step->attributes.clear))
        attr.attr_clr |= MOUNT_ATTR__ATIME;
    if (step->attributes.idmap != NO_SLOT) {
        attr.attr_set |= MOUNT_ATTR_IDMAP;
        attr.userns_fd = (uint64_t)slot_fd(step->attributes.idmap);
    }
    unsigned flags = AT_EMPTY_PATH | (step->attributes.recursive ? AT_RECURSIVE : 0);
    return mount_setattr(slot_fd(step->slot), "", flags, &attr, sizeof attr);
}

/* The file system's own words, fsopen(2): messages like "e overlay: too many lower directories". */
static void detail_from_context(int context, const char *type, const char *key)
{
    char text[256];
    int error = errno;
    ssize_t length = read(context, text, sizeof text - 1);

    text[length > 0 ? length : 0] = 0;
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = 0;
    const char *message = length > 2 && text[1] == ' ' ? text + 2 : text;
    set_detail(type, *key ? " " : "", key, *message ? ": " : "", message, NULL);
    errno = error;
}

/* Before kernel 6.15 overlayfs takes no detached mounts as layers: plans for such kernels have new-overlay-by-path instead. */
static void explain_detached_layer(const char *type)
{
    if (strcmp(type, "overlay") == 0 && errno == EINVAL && !strchr(get_detail(), ':'))
        set_detail(get_detail(), ": detached layers need kernel 6.15", NULL);
}

/* The permission bits of what is at the path; nothing where nothing is. */
static int configure_mode(const struct launch *launch, int context, const struct fs_option *option)
{
    struct plan_path at = {option->slot, option->value};
    struct stat status;

    int fd = open_plan_path(launch, &at, O_PATH, 0);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    int result = fstat(fd, &status), error = errno;
    close(fd);
    errno = error;
    if (result < 0)
        return -1;
    mode_t mode = status.st_mode;
    char octal[] = {'0' + (mode >> 9 & 7), '0' + (mode >> 6 & 7), '0' + (mode >> 3 & 7), '0' + (mode & 7), 0};
    return fsconfig(context, FSCONFIG_SET_STRING, option->key, octal, 0);
}

static int configure(const struct launch *launch, int context, const struct fs_option *option)
{
    switch (option->kind) {
    case OPTION_FLAG:
        return fsconfig(context, FSCONFIG_SET_FLAG, option->key, NULL, 0);
    case OPTION_STRING:
        return fsconfig(context, FSCONFIG_SET_STRING, option->key, option->value, 0);
    case OPTION_MODE:
        return configure_mode(launch, context, option);
    default:
        return fsconfig(context, FSCONFIG_SET_FD, option->key, NULL, slot_fd(option->slot));
    }
}

int step_new_mount(const struct launch *launch, const struct step *step)
{
    const char *type = step->new_mount.type;
    int context = fsopen(type, FSOPEN_CLOEXEC);

    if (context < 0) {
        set_detail(type, NULL);
        return -1;
    }
    int mount = -1;
    uint32_t done = 0;
    while (done < step->new_mount.option_count && configure(launch, context, &step->new_mount.options[done]) == 0)
        done++;
    const char *key = done < step->new_mount.option_count ? step->new_mount.options[done].key : "";
    if (!*key && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)mount_flags(step->new_mount.attributes));
    if (mount < 0) {
        detail_from_context(context, type, key);
        explain_detached_layer(type);
    }
    int error = errno;
    close(context);
    errno = error;
    return mount < 0 ? -1 : move_descriptor(mount, slot_fd(step->slot));
}

int step_attach_mount(const struct launch *launch, const struct step *step)
{
    int at = open_or_make(launch, &step->at, step->attach_mount.create);

    if (at < 0)
        return -1;
    int result = move_mount(slot_fd(step->slot), "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    int error = errno;
    close(at);
    errno = error;
    return result;
}

int step_set_root_propagation(const struct step *step)
{
    return mount(NULL, "/", NULL, MS_REC | propagation_flag(step->root_propagation.propagation), NULL);
}

/* chroot(2) into what is attached above an empty root: PROTOCOL.md, change-root. */
int step_change_root(const struct step *step)
{
    if (fchdir(slot_fd(step->slot)) < 0)
        return -1;
    if (chroot(".") < 0)
        return -1;
    return chdir("/");
}

/* pivot_root(2), "pivot_root(".", ".")": no directory for the old root is needed. */
int step_pivot_root(const struct step *step)
{
    if (fchdir(slot_fd(step->slot)) < 0)
        return -1;
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return -1;
    if (umount2(".", MNT_DETACH) < 0)
        return -1;
    return chdir("/");
}
