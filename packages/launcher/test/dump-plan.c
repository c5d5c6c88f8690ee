/* The plan as text: the counterpart of describe-plan.ts. */
#include "dump-plan.h"

#include <inttypes.h>
#include <string.h>

static void quote(FILE *to, const void *data, size_t length)
{
    fputc('"', to);
    for (const uint8_t *byte = data, *end = byte + length; byte < end; byte++)
        if (*byte >= 0x20 && *byte < 0x7f && *byte != '"' && *byte != '\\')
            fputc(*byte, to);
        else
            fprintf(to, "\\x%02x", *byte);
    fputc('"', to);
}

static void text(FILE *to, const char *string)
{
    fputc(' ', to);
    quote(to, string, strlen(string));
}

static void path(FILE *to, const struct plan_path *at)
{
    fputc(' ', to);
    if (at->base != NO_SLOT)
        fprintf(to, "[%" PRIu32 "]", at->base);
    quote(to, at->path, strlen(at->path));
}

static void hex(FILE *to, struct bytes bytes)
{
    fputc(' ', to);
    for (uint32_t i = 0; i < bytes.length; i++)
        fprintf(to, "%02x", bytes.data[i]);
}

static void optional_number(FILE *to, uint32_t number, const char *none)
{
    if (number == UINT32_MAX)
        fprintf(to, " %s", none);
    else
        fprintf(to, " %" PRIu32, number);
}

static void bits(FILE *to, const char *before, uint32_t set, const char *const *names, size_t count)
{
    const char *separator = before;

    for (size_t i = 0; i < count; i++)
        if (set >> i & 1) {
            fprintf(to, "%s%s", separator, names[i]);
            separator = ",";
        }
    if (!set)
        fprintf(to, "%snone", before);
}

static void namespaces(FILE *to, uint32_t set)
{
    static const char *const names[] = {"cgroup", "ipc", "mount", "net", "pid", "user", "uts"};

    bits(to, " ", set, names, 7);
}

static void attributes(FILE *to, const char *before, uint32_t set)
{
    static const char *const names[] = {"rdonly",   "nosuid",      "nodev",      "noexec",     "noatime",
                                        "relatime", "strictatime", "nodiratime", "nosymfollow"};

    bits(to, before, set, names, 9);
}

static void flag(FILE *to, bool set, const char *name)
{
    if (set)
        fprintf(to, " %s", name);
}

static void strings(FILE *to, char **list)
{
    for (; *list; list++)
        text(to, *list);
}

static const char *const propagations[] = {"none", "private", "slave", "shared", "unbindable"};
static const char *const op_names[] = {
    "",
    "mkdir",
    "symlink",
    "mknod",
    "write-file",
    "enter-cgroup",
    "open-path",
    "open-pidfd",
    "open-child-namespace",
    "join-namespaces",
    "unshare",
    "clone",
    "id-map",
    "clone-tree",
    "set-mount-attributes",
    "new-mount",
    "attach-mount",
    "set-root-propagation",
    "mask-path",
    "read-only-path",
    "pivot-root",
    "set-hostname",
    "set-domainname",
    "netlink",
    "set-rlimit",
    "set-umask",
    "set-oom-score-adj",
    "open-pty",
    "new-session-keyring",
    "set-exec-label",
    "set-no-new-privileges",
    "set-credentials",
    "set-seccomp",
    "change-directory",
    "exec",
    "attach-device-program",
    "new-overlay-by-path",
    "change-root",
};

static void new_mount(FILE *to, const struct step *step)
{
    text(to, step->new_mount.type);
    for (uint32_t i = 0; i < step->new_mount.option_count; i++) {
        const struct fs_option *option = &step->new_mount.options[i];
        text(to, option->key);
        if (option->kind == OPTION_SLOT)
            fprintf(to, "=%" PRIu32, option->slot);
        if (option->kind == OPTION_STRING) {
            fputc('=', to);
            quote(to, option->value, strlen(option->value));
        }
        if (option->kind == OPTION_MODE) {
            fputs("=mode-of", to);
            path(to, &(struct plan_path){option->slot, option->value});
        }
    }
    attributes(to, " ", step->new_mount.attributes);
    fprintf(to, " %" PRIu32, step->slot);
}

static void credentials(FILE *to, const struct step *step)
{
    fprintf(to, " %" PRIu32 " %" PRIu32 " groups=", step->credentials.uid, step->credentials.gid);
    for (uint32_t i = 0; i < step->credentials.group_count; i++)
        fprintf(to, "%s%" PRIu32, i ? "," : "", step->credentials.groups[i]);
    fprintf(to, " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64, step->credentials.bounding,
            step->credentials.effective, step->credentials.permitted, step->credentials.inheritable, step->credentials.ambient);
}

static void fields(FILE *to, const struct step *step)
{
    static const char *const node_types[] = {"", "char", "block", "fifo", "file"};
    static const char *const creates[] = {"nothing", "directory", "file"};

    switch ((enum op)step->op) {
    case OP_MKDIR:
        path(to, &step->at);
        fprintf(to, " 0%" PRIo32, step->mkdir.mode);
        flag(to, step->mkdir.parents, "parents");
        optional_number(to, step->mkdir.uid, "*");
        optional_number(to, step->mkdir.gid, "*");
        return;
    case OP_SYMLINK:
        path(to, &step->at);
        text(to, step->symlink.target);
        return;
    case OP_MKNOD:
        path(to, &step->at);
        fprintf(to, " %s 0%" PRIo32 " %" PRIu32 " %" PRIu32, node_types[step->mknod.type], step->mknod.mode,
                step->mknod.major, step->mknod.minor);
        optional_number(to, step->mknod.uid, "*");
        optional_number(to, step->mknod.gid, "*");
        return;
    case OP_WRITE_FILE:
        path(to, &step->at);
        fputc(' ', to);
        quote(to, step->write_file.data.data, step->write_file.data.length);
        flag(to, step->write_file.create, "create");
        return;
    case OP_ENTER_CGROUP:
    case OP_MASK_PATH:
    case OP_READ_ONLY_PATH:
        path(to, &step->at);
        return;
    case OP_OPEN_PATH:
        path(to, &step->at);
        fprintf(to, " %" PRIu32, step->slot);
        flag(to, step->open_path.directory, "directory");
        return;
    case OP_OPEN_PIDFD:
        fprintf(to, " %" PRIu32 " %" PRIu32, step->open_pidfd.pid, step->slot);
        return;
    case OP_OPEN_CHILD_NAMESPACE:
        namespaces(to, step->namespaces.bits);
        fprintf(to, " %" PRIu32, step->slot);
        return;
    case OP_JOIN_NAMESPACES:
        optional_number(to, step->slot, "none");
        namespaces(to, step->namespaces.bits);
        return;
    case OP_UNSHARE:
        namespaces(to, step->namespaces.bits);
        return;
    case OP_CLONE:
        namespaces(to, step->namespaces.bits);
        optional_number(to, step->slot, "none");
        return;
    case OP_ID_MAP:
        fprintf(to, " %s", step->id_map.kind == MAP_UID ? "uid" : "gid");
        for (uint32_t i = 0; i < step->id_map.count; i++)
            fprintf(to, " %" PRIu32 ":%" PRIu32 ":%" PRIu32, step->id_map.mappings[i].container_id,
                    step->id_map.mappings[i].host_id, step->id_map.mappings[i].size);
        return;
    case OP_CLONE_TREE:
        path(to, &step->at);
        fprintf(to, " %" PRIu32, step->slot);
        flag(to, step->clone_tree.recursive, "recursive");
        return;
    case OP_SET_MOUNT_ATTRIBUTES:
        fprintf(to, " %" PRIu32, step->slot);
        attributes(to, " +", step->attributes.set);
        attributes(to, " -", step->attributes.clear);
        fprintf(to, " %s", propagations[step->attributes.propagation]);
        optional_number(to, step->attributes.idmap, "none");
        flag(to, step->attributes.recursive, "recursive");
        return;
    case OP_NEW_MOUNT:
        new_mount(to, step);
        return;
    case OP_ATTACH_MOUNT:
        fprintf(to, " %" PRIu32, step->slot);
        path(to, &step->at);
        fprintf(to, " %s", creates[step->attach_mount.create]);
        return;
    case OP_SET_ROOT_PROPAGATION:
        fprintf(to, " %s", propagations[step->root_propagation.propagation]);
        return;
    case OP_PIVOT_ROOT:
    case OP_CHANGE_ROOT:
        fprintf(to, " %" PRIu32, step->slot);
        return;
    case OP_SET_HOSTNAME:
    case OP_SET_DOMAINNAME:
        text(to, step->name.name);
        return;
    case OP_NETLINK:
        fprintf(to, " %" PRIu32, step->netlink.protocol);
        for (uint32_t i = 0; i < step->netlink.count; i++)
            hex(to, step->netlink.messages[i]);
        return;
    case OP_SET_RLIMIT:
        fprintf(to, " %" PRIu32 " %" PRIu64 " %" PRIu64, step->rlimit.resource, step->rlimit.soft, step->rlimit.hard);
        return;
    case OP_SET_UMASK:
        fprintf(to, " 0%" PRIo32, step->umask.mask);
        return;
    case OP_SET_OOM_SCORE_ADJ:
        fprintf(to, " %" PRId32, step->oom_score_adj.score);
        return;
    case OP_OPEN_PTY:
        fprintf(to, " %" PRIu32 " %u %u", step->slot, step->pty.rows, step->pty.columns);
        return;
    case OP_NEW_SESSION_KEYRING:
    case OP_SET_NO_NEW_PRIVILEGES:
        return;
    case OP_SET_EXEC_LABEL:
        fprintf(to, " %s", step->exec_label.module == LABEL_APPARMOR ? "apparmor" : "selinux");
        text(to, step->exec_label.label);
        return;
    case OP_SET_CREDENTIALS:
        credentials(to, step);
        return;
    case OP_NEW_OVERLAY_BY_PATH:
        for (uint32_t i = 0; i < step->overlay.layer_count; i++)
            fprintf(to, "%s%" PRIu32, i ? "," : " ", step->overlay.layers[i]);
        text(to, step->overlay.upper);
        text(to, step->overlay.work);
        attributes(to, " ", step->overlay.attributes);
        fprintf(to, " %" PRIu32, step->slot);
        return;
    case OP_ATTACH_DEVICE_PROGRAM:
        path(to, &step->at);
        hex(to, step->device.program);
        return;
    case OP_SET_SECCOMP:
        hex(to, step->seccomp.program);
        flag(to, step->seccomp.log, "log");
        return;
    case OP_CHANGE_DIRECTORY:
        text(to, step->directory.path);
        return;
    case OP_EXEC:
        strings(to, step->exec.argv);
        fputs(" --", to);
        strings(to, step->exec.env);
        flag(to, step->exec.init, "init");
        return;
    }
}

void dump_plan(FILE *to, const struct plan *plan)
{
    const struct supervisor_plan *supervisor = &plan->supervisor;

    fputs("supervisor control=", to);
    quote(to, supervisor->control_socket, strlen(supervisor->control_socket));
    fputs(" exit=", to);
    quote(to, supervisor->exit_file, strlen(supervisor->exit_file));
    fputs(" log=", to);
    quote(to, supervisor->log_file, strlen(supervisor->log_file));
    fprintf(to, "*%" PRIu32 "@%" PRIu64 " oom=", supervisor->log_max_files, supervisor->log_max_bytes);
    quote(to, supervisor->oom_counter_file, strlen(supervisor->oom_counter_file));
    flag(to, supervisor->tty, "tty");
    flag(to, supervisor->open_stdin, "open-stdin");
    flag(to, supervisor->stdin_once, "stdin-once");
    fputc('\n', to);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct step *step = &plan->steps[i];
        fprintf(to, "%" PRIu32 " %s%s%s %s", i, step->side == SIDE_HOST ? "host" : "container", step->optional ? "?" : "",
                step->ahead ? "&" : "", op_names[step->op]);
        fields(to, step);
        fputc('\n', to);
    }
}
