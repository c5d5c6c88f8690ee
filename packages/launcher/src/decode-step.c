/* The fields of each op, and where it may stand: PROTOCOL.md, section 2. */
#include "decode-step.h"

static void fs_options(struct reader *r, struct step *step)
{
    uint32_t count = read_list_count(r, 5);
    struct fs_option *options = arena_take(r, count, sizeof *options);

    for (uint32_t i = 0; options && i < count; i++) {
        options[i] = (struct fs_option){.kind = read_choice(r, OPTION_FLAG, OPTION_MODE), .key = read_string(r, 255), .value = ""};
        if (options[i].kind == OPTION_STRING)
            options[i].value = read_string(r, PLAN_LIMIT);
        if (options[i].kind == OPTION_SLOT)
            options[i].slot = read_slot(r);
        if (options[i].kind == OPTION_MODE) {
            struct plan_path at = read_path(r);
            options[i].slot = at.base;
            options[i].value = at.path;
        }
    }
    step->new_mount.options = options;
    step->new_mount.option_count = options ? count : 0;
}

static void overlay(struct reader *r, struct step *step)
{
    uint32_t count = read_list_count(r, 4);
    uint32_t *layers = arena_take(r, count, sizeof *layers);

    check_plan(r, count >= 1, "an overlay without layers");
    for (uint32_t i = 0; layers && i < count; i++)
        layers[i] = read_slot(r);
    step->overlay.layers = layers;
    step->overlay.layer_count = r->error ? 0 : count;
    step->overlay.upper = read_absolute_path(r);
    step->overlay.work = read_absolute_path(r);
    step->overlay.attributes = read_attributes(r);
    step->slot = read_slot(r);
}

static void id_mappings(struct reader *r, struct step *step)
{
    uint32_t count = read_list_count(r, 12);
    struct id_mapping *mappings = arena_take(r, count, sizeof *mappings);

    check_plan(r, count >= 1 && count <= 340, "an id map has 1 to 340 lines");
    for (uint32_t i = 0; mappings && i < count; i++) {
        mappings[i].container_id = read_u32(r);
        mappings[i].host_id = read_u32(r);
        mappings[i].size = read_u32(r);
    }
    step->id_map.mappings = mappings;
    step->id_map.count = r->error ? 0 : count;
}

static void netlink_messages(struct reader *r, struct step *step)
{
    uint32_t count = read_list_count(r, 4);
    struct bytes *messages = arena_take(r, count, sizeof *messages);

    check_plan(r, count >= 1, "no netlink message");
    for (uint32_t i = 0; messages && i < count; i++) {
        messages[i] = read_bytes(r, 65536);
        check_plan(r, messages[i].length >= 16, "a netlink message without its header");
    }
    step->netlink.messages = messages;
    step->netlink.count = r->error ? 0 : count;
}

static void credentials(struct reader *r, struct step *step)
{
    step->credentials.uid = read_u32(r);
    step->credentials.gid = read_u32(r);
    check_plan(r, step->credentials.uid != NO_ID && step->credentials.gid != NO_ID, "no uid or gid");
    uint32_t count = read_list_count(r, 4);
    check_plan(r, count <= 65536, "more than 65536 groups");
    uint32_t *groups = arena_take(r, count, sizeof *groups);
    for (uint32_t i = 0; groups && i < count; i++)
        groups[i] = read_u32(r);
    step->credentials.groups = groups;
    step->credentials.group_count = r->error ? 0 : count;
    step->credentials.bounding = read_u64(r);
    step->credentials.effective = read_u64(r);
    step->credentials.permitted = read_u64(r);
    step->credentials.inheritable = read_u64(r);
    step->credentials.ambient = read_u64(r);
}

void decode_payload(struct reader *r, struct step *step)
{
    switch ((enum op)step->op) {
    case OP_MKDIR:
        step->at = read_path(r);
        step->mkdir.mode = read_u32(r);
        check_plan(r, step->mkdir.mode <= 07777, "a mode is out of its range");
        step->mkdir.parents = read_boolean(r);
        step->mkdir.uid = read_u32(r);
        step->mkdir.gid = read_u32(r);
        return;
    case OP_SYMLINK:
        step->at = read_path(r);
        step->symlink.target = read_string(r, PATH_LIMIT);
        return;
    case OP_MKNOD:
        step->at = read_path(r);
        step->mknod.type = read_choice(r, NODE_CHAR, NODE_FILE);
        step->mknod.mode = read_u32(r);
        check_plan(r, step->mknod.mode <= 07777, "a mode is out of its range");
        step->mknod.major = read_u32(r);
        step->mknod.minor = read_u32(r);
        step->mknod.uid = read_u32(r);
        step->mknod.gid = read_u32(r);
        return;
    case OP_WRITE_FILE:
        step->at = read_path(r);
        step->write_file.data = read_bytes(r, PLAN_LIMIT);
        step->write_file.create = read_boolean(r);
        return;
    case OP_ENTER_CGROUP:
    case OP_MASK_PATH:
    case OP_READ_ONLY_PATH:
        step->at = read_path(r);
        return;
    case OP_OPEN_PATH:
        step->at = read_path(r);
        step->slot = read_slot(r);
        step->open_path.directory = read_boolean(r);
        return;
    case OP_OPEN_PIDFD:
        step->open_pidfd.pid = read_u32(r);
        check_plan(r, step->open_pidfd.pid >= 1 && step->open_pidfd.pid <= INT32_MAX, "a pid is out of its range");
        step->slot = read_slot(r);
        return;
    case OP_OPEN_CHILD_NAMESPACE:
        step->namespaces.bits = read_namespaces(r);
        check_plan(r, __builtin_popcount(step->namespaces.bits) == 1, "not one namespace");
        step->slot = read_slot(r);
        return;
    case OP_JOIN_NAMESPACES:
        step->slot = read_optional_slot(r);
        step->namespaces.bits = read_namespaces(r);
        return;
    case OP_UNSHARE:
        step->namespaces.bits = read_namespaces(r);
        return;
    case OP_CLONE:
        step->namespaces.bits = read_namespaces(r);
        step->slot = read_optional_slot(r);
        return;
    case OP_ID_MAP:
        step->id_map.kind = read_choice(r, MAP_UID, MAP_GID);
        id_mappings(r, step);
        return;
    case OP_CLONE_TREE:
        step->at = read_path(r);
        step->slot = read_slot(r);
        step->clone_tree.recursive = read_boolean(r);
        return;
    case OP_SET_MOUNT_ATTRIBUTES:
        step->slot = read_slot(r);
        step->attributes.set = read_attributes(r);
        step->attributes.clear = read_attributes(r);
        step->attributes.propagation = read_choice(r, PROPAGATION_NONE, PROPAGATION_UNBINDABLE);
        step->attributes.idmap = read_optional_slot(r);
        step->attributes.recursive = read_boolean(r);
        return;
    case OP_NEW_MOUNT:
        step->new_mount.type = read_string(r, 255);
        fs_options(r, step);
        step->new_mount.attributes = read_attributes(r);
        step->slot = read_slot(r);
        return;
    case OP_NEW_OVERLAY_BY_PATH:
        overlay(r, step);
        return;
    case OP_ATTACH_MOUNT:
        step->slot = read_slot(r);
        step->at = read_path(r);
        step->attach_mount.create = read_choice(r, CREATE_NOTHING, CREATE_FILE);
        return;
    case OP_SET_ROOT_PROPAGATION:
        step->root_propagation.propagation = read_choice(r, PROPAGATION_PRIVATE, PROPAGATION_UNBINDABLE);
        return;
    case OP_PIVOT_ROOT:
    case OP_CHANGE_ROOT:
        step->slot = read_slot(r);
        return;
    case OP_SET_HOSTNAME:
    case OP_SET_DOMAINNAME:
        step->name.name = read_string(r, 64);
        return;
    case OP_NETLINK:
        step->netlink.protocol = read_u32(r);
        check_plan(r, step->netlink.protocol < 32, "an unknown netlink protocol");
        netlink_messages(r, step);
        return;
    case OP_SET_RLIMIT:
        step->rlimit.resource = read_u32(r);
        step->rlimit.soft = read_u64(r);
        step->rlimit.hard = read_u64(r);
        return;
    case OP_SET_UMASK:
        step->umask.mask = read_u32(r);
        check_plan(r, step->umask.mask <= 0777, "a umask is out of its range");
        return;
    case OP_SET_OOM_SCORE_ADJ:
        step->oom_score_adj.score = (int32_t)read_u32(r);
        check_plan(r, step->oom_score_adj.score >= -1000 && step->oom_score_adj.score <= 1000, "a score is out of its range");
        return;
    case OP_OPEN_PTY:
        step->slot = read_slot(r);
        step->pty.rows = read_u16(r);
        step->pty.columns = read_u16(r);
        return;
    case OP_NEW_SESSION_KEYRING:
    case OP_SET_NO_NEW_PRIVILEGES:
        return;
    case OP_SET_EXEC_LABEL:
        step->exec_label.module = read_choice(r, LABEL_APPARMOR, LABEL_SELINUX);
        step->exec_label.label = read_string(r, PATH_LIMIT);
        return;
    case OP_SET_CREDENTIALS:
        credentials(r, step);
        return;
    case OP_ATTACH_DEVICE_PROGRAM:
        step->at = read_path(r);
        step->device.program = read_bytes(r, 4096 * 8);
        check_plan(r, step->device.program.length && step->device.program.length % 8 == 0, "no whole BPF instructions");
        return;
    case OP_SET_SECCOMP:
        step->seccomp.program = read_bytes(r, 4096 * 8);
        check_plan(r, step->seccomp.program.length && step->seccomp.program.length % 8 == 0, "no whole BPF instructions");
        step->seccomp.log = read_boolean(r);
        return;
    case OP_CHANGE_DIRECTORY:
        step->directory.path = read_absolute_path(r);
        return;
    case OP_EXEC:
        step->exec.argv = read_strings(r);
        step->exec.env = read_strings(r);
        step->exec.init = read_boolean(r);
        check_plan(r, step->exec.argv && step->exec.argv[0], "no argv");
        return;
    }
    check_plan(r, false, "an unknown op");
}

/* Whether this op may stand on this side, before or after `clone`. */
const char *misplaced_step(const struct step *step, bool cloned)
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
    case OP_NEW_OVERLAY_BY_PATH:
        return step->side != SIDE_HOST ? "belongs to the host side" : NULL;
    case OP_SET_RLIMIT:
        return !cloned ? "belongs after clone" : NULL;
    case OP_SET_ROOT_PROPAGATION:
    case OP_MASK_PATH:
    case OP_READ_ONLY_PATH:
    case OP_PIVOT_ROOT:
    case OP_CHANGE_ROOT:
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
