/* The launch plan in memory. The wire form is in PROTOCOL.md, section 2; the fields are explained in
 * packages/daemon/src/runtime/launch-plan.ts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAN_VERSION = 1,
    PLAN_LIMIT = 4 * 1024 * 1024,
    STEP_LIMIT = 4096,
    SLOT_LIMIT = 1024,
    PATH_LIMIT = 4095,
};

#define NO_SLOT UINT32_MAX
#define NO_ID UINT32_MAX
#define NO_STEP UINT32_MAX

enum side { SIDE_HOST = 0, SIDE_CONTAINER = 1 };

enum op {
    OP_MKDIR = 1,
    OP_SYMLINK,
    OP_MKNOD,
    OP_WRITE_FILE,
    OP_ENTER_CGROUP,
    OP_OPEN_PATH,
    OP_OPEN_PIDFD,
    OP_OPEN_CHILD_NAMESPACE,
    OP_JOIN_NAMESPACES,
    OP_UNSHARE,
    OP_CLONE,
    OP_ID_MAP,
    OP_CLONE_TREE,
    OP_SET_MOUNT_ATTRIBUTES,
    OP_NEW_MOUNT,
    OP_ATTACH_MOUNT,
    OP_SET_ROOT_PROPAGATION,
    OP_MASK_PATH,
    OP_READ_ONLY_PATH,
    OP_PIVOT_ROOT,
    OP_SET_HOSTNAME,
    OP_SET_DOMAINNAME,
    OP_NETLINK,
    OP_SET_RLIMIT,
    OP_SET_UMASK,
    OP_SET_OOM_SCORE_ADJ,
    OP_OPEN_PTY,
    OP_NEW_SESSION_KEYRING,
    OP_SET_EXEC_LABEL,
    OP_SET_NO_NEW_PRIVILEGES,
    OP_SET_CREDENTIALS,
    OP_SET_SECCOMP,
    OP_CHANGE_DIRECTORY,
    OP_EXEC,
    OP_ATTACH_DEVICE_PROGRAM,
    OP_NEW_OVERLAY_BY_PATH,
    OP_CHANGE_ROOT,
    OP_LAST = OP_CHANGE_ROOT,
};

enum namespace_bit {
    NAMESPACE_CGROUP = 1,
    NAMESPACE_IPC = 2,
    NAMESPACE_MOUNT = 4,
    NAMESPACE_NET = 8,
    NAMESPACE_PID = 16,
    NAMESPACE_USER = 32,
    NAMESPACE_UTS = 64,
    NAMESPACE_ALL = 127,
};

enum attribute_bit {
    ATTRIBUTE_RDONLY = 1,
    ATTRIBUTE_NOSUID = 2,
    ATTRIBUTE_NODEV = 4,
    ATTRIBUTE_NOEXEC = 8,
    ATTRIBUTE_NOATIME = 16,
    ATTRIBUTE_RELATIME = 32,
    ATTRIBUTE_STRICTATIME = 64,
    ATTRIBUTE_NODIRATIME = 128,
    ATTRIBUTE_NOSYMFOLLOW = 256,
    ATTRIBUTE_ALL = 511,
};

enum propagation { PROPAGATION_NONE, PROPAGATION_PRIVATE, PROPAGATION_SLAVE, PROPAGATION_SHARED, PROPAGATION_UNBINDABLE };
enum node_type { NODE_CHAR = 1, NODE_BLOCK, NODE_FIFO, NODE_FILE };
enum map_kind { MAP_UID = 1, MAP_GID };
enum option_kind { OPTION_FLAG = 1, OPTION_STRING, OPTION_SLOT, OPTION_MODE };
enum create_kind { CREATE_NOTHING, CREATE_DIRECTORY, CREATE_FILE };
enum label_module { LABEL_APPARMOR = 1, LABEL_SELINUX };

struct bytes {
    const uint8_t *data;
    uint32_t length;
};

struct plan_path {
    uint32_t base; /* slot or NO_SLOT */
    const char *path;
};

struct id_mapping {
    uint32_t container_id, host_id, size;
};

struct fs_option {
    uint8_t kind;
    const char *key;
    const char *value; /* OPTION_MODE: the path */
    uint32_t slot;     /* OPTION_MODE: the path's base, or NO_SLOT */
};

struct step {
    uint16_t op;
    uint8_t side;
    bool optional;
    bool ahead; /* the host's side goes on meanwhile */
    struct plan_path at; /* of every op with a path */
    uint32_t slot;       /* of every op that fills or uses one */
    union {
        struct { uint32_t mode; bool parents; uint32_t uid, gid; } mkdir;
        struct { const char *target; } symlink;
        struct { uint8_t type; uint32_t mode, major, minor, uid, gid; } mknod;
        struct { struct bytes data; bool create; } write_file;
        struct { bool directory; } open_path;
        struct { uint32_t pid; } open_pidfd;
        struct { uint32_t bits; } namespaces; /* open-child-namespace, join-namespaces, unshare, clone (slot: cgroup) */
        struct { uint8_t kind; uint32_t count; const struct id_mapping *mappings; } id_map;
        struct { bool recursive; } clone_tree;
        struct { uint32_t set, clear; uint8_t propagation; uint32_t idmap; bool recursive; } attributes;
        struct { const char *type; uint32_t option_count; const struct fs_option *options; uint32_t attributes; } new_mount;
        struct {
            uint32_t layer_count, attributes;
            const uint32_t *layers; /* slots, the topmost layer first */
            const char *upper, *work;
        } overlay;
        struct { uint8_t create; } attach_mount;
        struct { uint8_t propagation; } root_propagation;
        struct { const char *name; } name; /* set-hostname, set-domainname */
        struct { uint32_t protocol, count; const struct bytes *messages; } netlink;
        struct { uint32_t resource; uint64_t soft, hard; } rlimit;
        struct { uint32_t mask; } umask;
        struct { int32_t score; } oom_score_adj;
        struct { uint16_t rows, columns; } pty;
        struct { uint8_t module; const char *label; } exec_label;
        struct {
            uint32_t uid, gid, group_count;
            const uint32_t *groups;
            uint64_t bounding, effective, permitted, inheritable, ambient;
        } credentials;
        struct { struct bytes program; bool log; } seccomp;
        struct { struct bytes program; } device;
        struct { const char *path; } directory;
        struct { char **argv, **env; bool init; } exec; /* both end with NULL */
    };
};

struct supervisor_plan {
    const char *control_socket, *exit_file, *log_file, *oom_counter_file; /* the last two may be empty */
    uint64_t log_max_bytes;
    uint32_t log_max_files;
    bool tty, open_stdin, stdin_once;
};

struct plan {
    struct supervisor_plan supervisor;
    uint32_t step_count;
    struct step *steps;
    uint8_t slots[SLOT_LIMIT / 8]; /* which slots the plan names */
};

/* Memory that is given back all at once. */
struct arena {
    uint8_t *start;
    size_t used, size;
};

struct plan_error {
    uint32_t step; /* NO_STEP: the header or the supervisor section */
    const char *message;
};

/* Enough arena for any plan of this many bytes. */
size_t plan_arena_size(size_t length);

/* Decodes and checks the plan. Returns -1 and fills `error` where it breaks a rule of PROTOCOL.md. */
int decode_plan(const uint8_t *bytes, size_t length, struct arena *arena, struct plan *plan, struct plan_error *error);

static inline bool plan_names_slot(const struct plan *plan, uint32_t slot)
{
    return plan->slots[slot / 8] >> (slot % 8) & 1;
}

/* Whether the slot holds a mount in the end that is attached nowhere, such as a layer of an overlay. */
bool plan_leaves_detached(const struct plan *plan, uint32_t slot);
