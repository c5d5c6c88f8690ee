#include "paths.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "descriptors.h"
#include "failure.h"
#include "kernel.h"

enum { SYMLINK_LIMIT = 40 };

static int base_fd(const struct plan_path *at)
{
    return at->base == NO_SLOT ? AT_FDCWD : slot_fd(at->base);
}

/* A hostile path must not leave its root, and inside a container not follow /proc/self/fd either. */
static uint64_t implied_resolve(const struct launch *launch, const struct plan_path *at)
{
    if (at->base != NO_SLOT)
        return RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return launch->in_child ? RESOLVE_NO_MAGICLINKS : 0;
}

int open_plan_path(const struct launch *launch, const struct plan_path *at, uint64_t flags, uint64_t resolve)
{
    const char *path = at->path[0] ? at->path : ".";
    int fd;

    /* EAGAIN: a rename elsewhere made the kernel unsure whether ".." stayed inside */
    for (int attempt = 0; attempt < 32; attempt++) {
        fd = openat2(base_fd(at), path, flags, implied_resolve(launch, at) | resolve);
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd < 0 ? -1 : keep_from_slots(fd);
}

int open_plan_parent(const struct launch *launch, const struct plan_path *at, char *buffer, const char **name)
{
    size_t length = strlen(at->path);

    if (length > PATH_LIMIT)
        return errno = ENAMETOOLONG, -1;
    memcpy(buffer, at->path, length + 1);
    while (length > 1 && buffer[length - 1] == '/')
        buffer[--length] = 0;
    char *slash = strrchr(buffer, '/');
    *name = slash ? slash + 1 : buffer;
    if (!**name || !strcmp(*name, ".") || !strcmp(*name, ".."))
        return errno = EINVAL, -1;
    struct plan_path parent = {at->base, slash == buffer ? "/" : slash ? buffer : ""};
    if (slash && slash != buffer)
        *slash = 0;
    return open_plan_path(launch, &parent, O_PATH | O_DIRECTORY, 0);
}

/* Replaces the component [start, end) of `path`, a symlink in `parent`, by what it points to. */
static int expand_symlink(int parent, char *path, size_t start, size_t end)
{
    char name[256], target[PATH_LIMIT + 1], before[PATH_LIMIT + 1], expanded[PATH_LIMIT + 1];

    memcpy(name, path + start, end - start);
    name[end - start] = 0;
    ssize_t length = readlinkat(parent, name, target, sizeof target - 1);
    if (length < 0)
        return -1;
    target[length] = 0;
    memcpy(before, path, start);
    before[start] = 0;
    size_t total = join_text(expanded, sizeof expanded, target[0] == '/' ? "" : before, target, path + end, NULL);
    if (total >= sizeof expanded - 1)
        return errno = ENAMETOOLONG, -1;
    memcpy(path, expanded, total + 1);
    return 0;
}

/* Opens the first `length` bytes of the path. */
static int open_prefix(const struct launch *launch, uint32_t base, const char *path, size_t length, uint64_t flags)
{
    char prefix[PATH_LIMIT + 1];

    memcpy(prefix, path, length);
    prefix[length] = 0;
    struct plan_path at = {base, prefix};
    return open_plan_path(launch, &at, flags, 0);
}

/* Opens what `path` starts from: the own root, or the base itself. */
static int open_start(const struct launch *launch, uint32_t base, const char *path)
{
    return open_prefix(launch, base, path, path[0] == '/', O_PATH | O_DIRECTORY);
}

static int make_component(int parent, const char *path, size_t start, size_t end, uint8_t create)
{
    char name[256];

    if (end - start >= sizeof name)
        return errno = ENAMETOOLONG, -1;
    memcpy(name, path + start, end - start);
    name[end - start] = 0;
    if (create == CREATE_FILE)
        return mknodat(parent, name, S_IFREG | 0644, 0);
    return mkdirat(parent, name, 0755);
}

/* Walks down one component after the other; what is missing is made, and where a dangling symlink is in the way the walk
 * starts again with what it points to. Every prefix is resolved anew from the base, so no step of the walk can leave it. */
int open_or_make(const struct launch *launch, const struct plan_path *at, uint8_t create)
{
    char path[PATH_LIMIT + 1];
    uint64_t last_flags = O_PATH | (create == CREATE_DIRECTORY ? O_DIRECTORY : 0);

    int fd = open_plan_path(launch, at, last_flags, 0);
    if (fd >= 0 || errno != ENOENT || create == CREATE_NOTHING)
        return fd;
    size_t length = join_text(path, sizeof path, at->path, NULL);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = 0;

    /* most often only the last component is missing */
    const char *slash = strrchr(path, '/');
    size_t done = slash ? (size_t)(slash - path) : 0;
    int parent = done ? open_prefix(launch, at->base, path, done, O_PATH | O_DIRECTORY) : -1, links = 0;
    if (parent < 0) {
        done = 0;
        parent = open_start(launch, at->base, path);
    }
    while (parent >= 0) {
        size_t start = done;
        while (path[start] == '/')
            start++;
        size_t end = start + strcspn(path + start, "/");
        bool last = path[end] == 0;
        fd = open_prefix(launch, at->base, path, end, last ? last_flags : O_PATH | O_DIRECTORY);
        if (fd < 0 && errno == ENOENT) {
            if (make_component(parent, path, start, end, last ? create : CREATE_DIRECTORY) == 0)
                continue;
            if (errno == EEXIST && links++ < SYMLINK_LIMIT && expand_symlink(parent, path, start, end) == 0) {
                close(parent);
                parent = open_start(launch, at->base, path);
                done = 0;
                continue;
            }
        }
        int error = errno;
        close(parent);
        if (fd < 0 || last)
            return errno = error, fd;
        parent = fd;
        done = end;
    }
    return -1;
}
