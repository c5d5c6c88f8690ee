/* Fixed places in the descriptor table that launcher and child share until exec. Slots follow at 64. */
#pragma once

enum descriptor {
    CONTROL_FD = 3,
    PLAN_FD = 4,
    /* what the child keeps when it takes a table of its own */
    CHILD_STDIN_FD = 5,
    CHILD_STDOUT_FD = 6,
    CHILD_STDERR_FD = 7,
    CHILD_BATON_FD = 8,
    SELF_EXE_FD = 9,
    FIRST_HOST_FD = 10,
    /* what stays with the launcher */
    HOST_BATON_FD = 10,
    STDIN_WRITE_FD = 11, /* with a terminal: its master, and the one below too */
    STDOUT_READ_FD = 12,
    STDERR_READ_FD = 13,
    LAUNCHER_PIDFD = 14,
    CHILD_PIDFD = 15,
    EXEC_LABEL_FD = 16,
    LISTEN_FD = 17,
    LOG_DIRECTORY_FD = 18,
    EXIT_DIRECTORY_FD = 19,
    OOM_COUNTER_FD = 20,
    MASK_FILE_FD = 21,
    MASK_DIRECTORY_FD = 22,
    TERMINAL_FD = 23, /* the slave, kept open so that the master never reports a hang-up while the process lives */
    MOUNT_NAMESPACE_FD = 24, /* the child's; stays open */
    FIRST_FREE_FD = 25,
    FIRST_SLOT_FD = 64,
    LAST_SLOT_FD = FIRST_SLOT_FD + 1023,
    LEAST_OPEN_FILES = LAST_SLOT_FD + 65,
};

static inline int slot_fd(unsigned slot)
{
    return (int)(FIRST_SLOT_FD + slot);
}

/* Puts `placeholder` (/dev/null) at every fixed place but the control stream, so that no new descriptor lands there by chance. */
int reserve_fixed_places(int placeholder);

/* Moves a descriptor to a fixed place, close-on-exec. Returns -1 with errno; the old one is closed either way. */
int move_descriptor(int from, int to);

/* Moves a descriptor out of the range of the slots if it is there. Returns it or its successor, or -1 with errno. */
int keep_from_slots(int descriptor);
