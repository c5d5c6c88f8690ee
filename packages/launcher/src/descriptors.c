#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int reserve_fixed_places(int placeholder)
{
    for (int fd = PLAN_FD; fd < FIRST_FREE_FD; fd++)
        if (dup3(placeholder, fd, O_CLOEXEC) < 0)
            return -1;
    return 0;
}

int move_descriptor(int from, int to)
{
    if (from == to)
        return to;
    int result = dup3(from, to, O_CLOEXEC), error = errno;
    close(from);
    errno = error;
    return result;
}

int keep_from_slots(int descriptor)
{
    if (descriptor < FIRST_SLOT_FD || descriptor > LAST_SLOT_FD)
        return descriptor;
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, LAST_SLOT_FD + 1), error = errno;
    close(descriptor);
    errno = error;
    return moved;
}
