#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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
