/* Reads the plan's wire form: PROTOCOL.md, section 2. It works on memory only and trusts no byte of it. */
#include <string.h>

#include "plan.h"

struct reader {
    const uint8_t *at, *end;
    const char *error; /* the first one; reading goes on with zeros */
    struct arena *arena;
    struct plan *plan;
};

static void *arena_take(struct reader *r, size_t count, size_t size)
{
    struct arena *arena = r->arena;
    size_t aligned = (arena->used + 7) & ~(size_t)7, total;

    if (__builtin_mul_overflow(count, size, &total) || aligned > arena->size || total > arena->size - aligned) {
        if (!r->error)
            r->error = "too large";
        return NULL;
    }
    arena->used = aligned + total;
    return arena->start + aligned;
}

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

static const uint8_t *take(struct reader *r, size_t length)
{
    const uint8_t *taken = r->at;

    if (r->error || left(r) < length) {
        if (!r->error)
            r->error = "ends too early";
        r->at = r->end;
        return NULL;
    }
    r->at += length;
    return taken;
}

static uint64_t number(struct reader *r, size_t length)
{
    const uint8_t *bytes = take(r, length);
    uint64_t value = 0;

    for (size_t i = 0; bytes && i < length; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static uint8_t u8(struct reader *r) { return (uint8_t)number(r, 1); }
static uint16_t u16(struct reader *r) { return (uint16_t)number(r, 2); }
static uint32_t u32(struct reader *r) { return (uint32_t)number(r, 4); }
static uint64_t u64(struct reader *r) { return number(r, 8); }

static void check(struct reader *r, bool good, const char *error)
{
    if (!good && !r->error)
        r->error = error;
}

static uint8_t choice(struct reader *r, uint8_t first, uint8_t last)
{
    uint8_t value = u8(r);

    check(r, value >= first && value <= last, "a value is out of its range");
    return value;
}

static bool boolean(struct reader *r)
{
    return choice(r, 0, 1);
}

static struct bytes bytes(struct reader *r, uint32_t limit)
{
    uint32_t length = u32(r);

    check(r, length <= limit, "a field is too long");
    struct bytes value = {take(r, length), length};
    if (r->error)
        value.length = 0;
    return value;
}

/* A copy with a NUL at the end. Never NULL. */
static char *string(struct reader *r, uint32_t limit)
{
    static char empty[1];
    struct bytes value = bytes(r, limit);

    if (value.length && memchr(value.data, 0, value.length))
        check(r, false, "a string holds a NUL");
    char *copy = arena_take(r, (size_t)value.length + 1, 1);
    if (r->error || !copy)
        return empty;
    if (value.length)
        memcpy(copy, value.data, value.length);
    copy[value.length] = 0;
    return copy;
}

static const char *absolute_path(struct reader *r)
{
    const char *path = string(r, PATH_LIMIT);

    check(r, path[0] == '/', "a path is not absolute");
    return path;
}

static const char *absolute_path_or_none(struct reader *r)
{
    const char *path = string(r, PATH_LIMIT);

    check(r, path[0] == '/' || path[0] == 0, "a path is not absolute");
    return path;
}

/* How many items follow, each at least `smallest` bytes long. */
static uint32_t list_count(struct reader *r, size_t smallest)
{
    uint32_t count = u32(r);

    check(r, count <= left(r) / smallest, "a list is longer than its step");
    return r->error ? 0 : count;
}

static char **strings(struct reader *r)
{
    uint32_t count = list_count(r, 4);
    char **list = arena_take(r, (size_t)count + 1, sizeof *list);

    for (uint32_t i = 0; list && i < count; i++)
        list[i] = string(r, PLAN_LIMIT);
    if (list)
        list[count] = NULL;
    return list;
}

static uint32_t slot(struct reader *r)
{
    uint32_t value = u32(r);

    check(r, value < SLOT_LIMIT, "a slot is not in 0-1023");
    if (!r->error)
        r->plan->slots[value / 8] |= (uint8_t)(1 << (value % 8));
    return r->error ? 0 : value;
}

static uint32_t optional_slot(struct reader *r)
{
    if (!r->error && left(r) >= 4 && memcmp(r->at, "\xff\xff\xff\xff", 4) == 0) {
        r->at += 4;
        return NO_SLOT;
    }
    return slot(r);
}

static struct plan_path path(struct reader *r)
{
    struct plan_path value = {.base = optional_slot(r), .path = string(r, PATH_LIMIT)};

    check(r, value.base != NO_SLOT || value.path[0] == '/', "a path without a base is not absolute");
    return value;
}

static uint32_t namespaces(struct reader *r)
{
    uint32_t bits = u32(r);

    check(r, (bits & ~(uint32_t)NAMESPACE_ALL) == 0, "an unknown namespace");
    return bits;
}

static uint32_t attributes(struct reader *r)
{
    uint32_t bits = u32(r), atimes = bits & (ATTRIBUTE_NOATIME | ATTRIBUTE_RELATIME | ATTRIBUTE_STRICTATIME);

    check(r, (bits & ~(uint32_t)ATTRIBUTE_ALL) == 0, "an unknown mount attribute");
    check(r, (atimes & (atimes - 1)) == 0, "more than one atime attribute");
    return bits;
}

static void fs_options(struct reader *r, struct step *step)
{
    uint32_t count = list_count(r, 5);
    struct fs_option *options = arena_take(r, count, sizeof *options);

    for (uint32_t i = 0; options && i < count; i++) {
        options[i] = (struct fs_option){.kind = choice(r, OPTION_FLAG, OPTION_SLOT), .key = string(r, 255), .value = ""};
        if (options[i].kind == OPTION_STRING)
            options[i].value = string(r, PLAN_LIMIT);
        if (options[i].kind == OPTION_SLOT)
            options[i].slot = slot(r);
    }
    step->new_mount.options = options;
    step->new_mount.option_count = options ? count : 0;
}

static void id_mappings(struct reader *r, struct step *step)
{
    uint32_t count = list_count(r, 12);
    struct id_mapping *mappings = arena_take(r, count, sizeof *mappings);

    check(r, count >= 1 && count <= 340, "an id map has 1 to 340 lines");
    for (uint32_t i = 0; mappings && i < count; i++) {
        mappings[i].container_id = u32(r);
        mappings[i].host_id = u32(r);
        mappings[i].size = u32(r);
    }
    step->id_map.mappings = mappings;
    step->id_map.count = r->error ? 0 : count;
}

static void credentials(struct reader *r, struct step *step)
{
    step->credentials.uid = u32(r);
    step->credentials.gid = u32(r);
    check(r, step->credentials.uid != NO_ID && step->credentials.gid != NO_ID, "no uid or gid");
    uint32_t count = list_count(r, 4);
    check(r, count <= 65536, "more than 65536 groups");
    uint32_t *groups = arena_take(r, count, sizeof *groups);
    for (uint32_t i = 0; groups && i < count; i++)
        groups[i] = u32(r);
    step->credentials.groups = groups;
    step->credentials.group_count = r->error ? 0 : count;
    step->credentials.bounding = u64(r);
    step->credentials.effective = u64(r);
    step->credentials.permitted = u64(r);
    step->credentials.inheritable = u64(r);
    step->credentials.ambient = u64(r);
}

static void payload(struct reader *r, struct step *step)
{
    switch ((enum op)step->op) {
    case OP_MKDIR:
        step->at = path(r);
        step->mkdir.mode = u32(r);
        check(r, step->mkdir.mode <= 07777, "a mode is out of its range");
        step->mkdir.parents = boolean(r);
        step->mkdir.uid = u32(r);
        step->mkdir.gid = u32(r);
        return;
    case OP_SYMLINK:
        step->at = path(r);
        step->symlink.target = string(r, PATH_LIMIT);
        return;
    case OP_MKNOD:
        step->at = path(r);
        step->mknod.type = choice(r, NODE_CHAR, NODE_FIFO);
        step->mknod.mode = u32(r);
        check(r, step->mknod.mode <= 07777, "a mode is out of its range");
        step->mknod.major = u32(r);
        step->mknod.minor = u32(r);
        step->mknod.uid = u32(r);
        step->mknod.gid = u32(r);
        return;
    case OP_WRITE_FILE:
        step->at = path(r);
        step->write_file.data = bytes(r, PLAN_LIMIT);
        step->write_file.create = boolean(r);
        return;
    case OP_ENTER_CGROUP:
    case OP_MASK_PATH:
    case OP_READ_ONLY_PATH:
        step->at = path(r);
        return;
    case OP_OPEN_PATH:
        step->at = path(r);
        step->slot = slot(r);
        step->open_path.directory = boolean(r);
        return;
    case OP_OPEN_PIDFD:
        step->open_pidfd.pid = u32(r);
        check(r, step->open_pidfd.pid >= 1 && step->open_pidfd.pid <= INT32_MAX, "a pid is out of its range");
        step->slot = slot(r);
        return;
    case OP_OPEN_CHILD_NAMESPACE:
        step->namespaces.bits = namespaces(r);
        check(r, __builtin_popcount(step->namespaces.bits) == 1, "not one namespace");
        step->slot = slot(r);
        return;
    case OP_JOIN_NAMESPACES:
        step->slot = slot(r);
        step->namespaces.bits = namespaces(r);
        return;
    case OP_UNSHARE:
        step->namespaces.bits = namespaces(r);
        return;
    case OP_CLONE:
        step->namespaces.bits = namespaces(r);
        step->slot = optional_slot(r);
        return;
    case OP_ID_MAP:
        step->id_map.kind = choice(r, MAP_UID, MAP_GID);
        id_mappings(r, step);
        return;
    case OP_CLONE_TREE:
        step->at = path(r);
        step->slot = slot(r);
        step->clone_tree.recursive = boolean(r);
        return;
    case OP_SET_MOUNT_ATTRIBUTES:
        step->slot = slot(r);
        step->attributes.set = attributes(r);
        step->attributes.clear = attributes(r);
        step->attributes.propagation = choice(r, PROPAGATION_NONE, PROPAGATION_UNBINDABLE);
        step->attributes.idmap = optional_slot(r);
        step->attributes.recursive = boolean(r);
        return;
    case OP_NEW_MOUNT:
        step->new_mount.type = string(r, 255);
        fs_options(r, step);
        step->new_mount.attributes = attributes(r);
        step->slot = slot(r);
        return;
    case OP_ATTACH_MOUNT:
        step->slot = slot(r);
        step->at = path(r);
        step->attach_mount.create = choice(r, CREATE_NOTHING, CREATE_FILE);
        return;
    case OP_SET_ROOT_PROPAGATION:
        step->root_propagation.propagation = choice(r, PROPAGATION_PRIVATE, PROPAGATION_UNBINDABLE);
        return;
    case OP_PIVOT_ROOT:
        step->slot = slot(r);
        return;
    case OP_SET_HOSTNAME:
    case OP_SET_DOMAINNAME:
        step->name.name = string(r, 64);
        return;
    case OP_NETLINK:
        step->netlink.protocol = u32(r);
        check(r, step->netlink.protocol < 32, "an unknown netlink protocol");
        step->netlink.message = bytes(r, 65536);
        check(r, step->netlink.message.length >= 16, "a netlink message without its header");
        return;
    case OP_SET_RLIMIT:
        step->rlimit.resource = u32(r);
        step->rlimit.soft = u64(r);
        step->rlimit.hard = u64(r);
        return;
    case OP_SET_UMASK:
        step->umask.mask = u32(r);
        check(r, step->umask.mask <= 0777, "a umask is out of its range");
        return;
    case OP_SET_OOM_SCORE_ADJ:
        step->oom_score_adj.score = (int32_t)u32(r);
        check(r, step->oom_score_adj.score >= -1000 && step->oom_score_adj.score <= 1000, "a score is out of its range");
        return;
    case OP_OPEN_PTY:
        step->slot = slot(r);
        step->pty.rows = u16(r);
        step->pty.columns = u16(r);
        return;
    case OP_NEW_SESSION_KEYRING:
    case OP_SET_NO_NEW_PRIVILEGES:
        return;
    case OP_SET_EXEC_LABEL:
        step->exec_label.module = choice(r, LABEL_APPARMOR, LABEL_SELINUX);
        step->exec_label.label = string(r, PATH_LIMIT);
        return;
    case OP_SET_CREDENTIALS:
        credentials(r, step);
        return;
    case OP_ATTACH_DEVICE_PROGRAM:
        step->at = path(r);
        step->device.program = bytes(r, 4096 * 8);
        check(r, step->device.program.length && step->device.program.length % 8 == 0, "no whole BPF instructions");
        return;
    case OP_SET_SECCOMP:
        step->seccomp.program = bytes(r, 4096 * 8);
        check(r, step->seccomp.program.length && step->seccomp.program.length % 8 == 0, "no whole BPF instructions");
        step->seccomp.log = boolean(r);
        return;
    case OP_CHANGE_DIRECTORY:
        step->directory.path = absolute_path(r);
        return;
    case OP_EXEC:
        step->exec.argv = strings(r);
        step->exec.env = strings(r);
        step->exec.init = boolean(r);
        check(r, step->exec.argv && step->exec.argv[0], "no argv");
        return;
    }
    check(r, false, "an unknown op");
}

/* Whether this op may stand on this side, before or after `clone`. */
static const char *misplaced(const struct step *step, bool cloned)
{
    switch ((enum op)step->op) {
    case OP_CLONE:
        return step->side != SIDE_HOST || cloned ? "clone is the host's, once" : NULL;
    case OP_ENTER_CGROUP: /* the child's side writes 0 into tasks before it becomes its namespace's root: PROTOCOL.md */
        return !cloned ? "belongs after clone" : NULL;
    case OP_OPEN_CHILD_NAMESPACE:
    case OP_ID_MAP:
    case OP_SET_OOM_SCORE_ADJ:
        return step->side != SIDE_HOST || !cloned ? "belongs to the host side after clone" : NULL;
    case OP_OPEN_PIDFD:
    case OP_ATTACH_DEVICE_PROGRAM:
        return step->side != SIDE_HOST ? "belongs to the host side" : NULL;
    case OP_SET_RLIMIT:
        return !cloned ? "belongs after clone" : NULL;
    case OP_SET_ROOT_PROPAGATION:
    case OP_MASK_PATH:
    case OP_READ_ONLY_PATH:
    case OP_PIVOT_ROOT:
    case OP_SET_HOSTNAME:
    case OP_SET_DOMAINNAME:
    case OP_SET_UMASK:
    case OP_OPEN_PTY:
    case OP_NEW_SESSION_KEYRING:
    case OP_SET_EXEC_LABEL:
    case OP_SET_NO_NEW_PRIVILEGES:
    case OP_SET_CREDENTIALS:
    case OP_SET_SECCOMP:
    case OP_CHANGE_DIRECTORY:
    case OP_EXEC:
        if (step->side != SIDE_CONTAINER)
            return "belongs to the container side";
        break;
    default:
        break;
    }
    return step->side == SIDE_CONTAINER && !cloned ? "a container step before clone" : NULL;
}

static void supervisor_section(struct reader *r, struct supervisor_plan *supervisor)
{
    supervisor->control_socket = absolute_path(r);
    supervisor->exit_file = absolute_path(r);
    supervisor->log_file = absolute_path_or_none(r);
    supervisor->log_max_bytes = u64(r);
    supervisor->log_max_files = u32(r);
    check(r, supervisor->log_max_files >= 1 && supervisor->log_max_files <= 1000, "not 1 to 1000 log files");
    uint8_t flags = choice(r, 0, 7);
    supervisor->tty = flags & 1;
    supervisor->open_stdin = flags & 2;
    supervisor->stdin_once = flags & 4;
    supervisor->oom_counter_file = absolute_path_or_none(r);
}

/* A reader of the next `length` bytes only. */
static struct reader section(struct reader *r, uint32_t length)
{
    struct reader part = *r;

    part.at = take(r, length);
    part.end = part.at ? part.at + length : part.at;
    part.error = r->error;
    return part;
}

static const char *finished(const struct reader *r)
{
    return r->error ? r->error : r->at != r->end ? "bytes are left over" : NULL;
}

static const char *one_step(struct reader *r, struct step *step, bool *cloned)
{
    memset(step, 0, sizeof *step);
    step->op = u16(r);
    step->side = choice(r, SIDE_HOST, SIDE_CONTAINER);
    step->optional = boolean(r);
    step->at.base = NO_SLOT;
    step->at.path = "";
    uint32_t length = u32(r);
    struct reader part = section(r, length);
    if (r->error)
        return r->error;
    payload(&part, step);
    const char *error = finished(&part);
    if (error)
        return error;
    error = misplaced(step, *cloned);
    *cloned = *cloned || step->op == OP_CLONE;
    return error;
}

static int failed(struct plan_error *error, uint32_t step, const char *message)
{
    error->step = step;
    error->message = message;
    return -1;
}

size_t plan_arena_size(size_t length)
{
    /* the worst are empty steps (8 bytes each) and flag options (9 bytes each) */
    return 65536 + length / 8 * sizeof(struct step) + length * 16;
}

int decode_plan(const uint8_t *data, size_t length, struct arena *arena, struct plan *plan, struct plan_error *error)
{
    struct reader r = {.at = data, .end = data + length, .arena = arena, .plan = plan};

    memset(plan, 0, sizeof *plan);
    const uint8_t *magic = take(&r, 4);
    if (!magic || memcmp(magic, "TSDP", 4) != 0)
        return failed(error, NO_STEP, "no plan");
    uint16_t version = u16(&r), reserved = u16(&r);
    if (version != PLAN_VERSION || reserved != 0)
        return failed(error, NO_STEP, "a plan of another version");
    uint32_t total = u32(&r);
    plan->step_count = u32(&r);
    uint32_t supervisor_length = u32(&r);
    if (r.error || total != length || length > PLAN_LIMIT)
        return failed(error, NO_STEP, "a plan of the wrong length");
    if (plan->step_count < 1 || plan->step_count > STEP_LIMIT)
        return failed(error, NO_STEP, "not 1 to 4096 steps");

    struct reader part = section(&r, supervisor_length);
    if (!r.error)
        supervisor_section(&part, &plan->supervisor);
    const char *message = r.error ? r.error : finished(&part);
    if (message)
        return failed(error, NO_STEP, message);

    plan->steps = arena_take(&r, plan->step_count, sizeof *plan->steps);
    if (!plan->steps)
        return failed(error, NO_STEP, r.error);
    bool cloned = false;
    uint32_t ptys = 0;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        message = one_step(&r, &plan->steps[i], &cloned);
        if (!message && (plan->steps[i].op == OP_EXEC) != (i == plan->step_count - 1))
            message = "exec is not the last step, once";
        if (message)
            return failed(error, i, message);
        ptys += plan->steps[i].op == OP_OPEN_PTY;
    }
    message = finished(&r);
    if (message)
        return failed(error, NO_STEP, message);
    if (ptys != (plan->supervisor.tty ? 1 : 0))
        return failed(error, NO_STEP, "a terminal without one open-pty, or the other way round");
    return 0;
}
