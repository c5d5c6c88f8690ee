/* capabilities(7), credentials(7): the last privileges that a process gives up before exec. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include "failure.h"
#include "kernel.h"
#include "launch.h"

static bool holds(uint64_t set, unsigned capability)
{
    return set >> capability & 1;
}

/* Drops what is not in the set. Capabilities that this kernel does not know end the loop (EINVAL). */
static int limit_bounding_set(uint64_t set)
{
    for (unsigned capability = 0; capability < 64; capability++) {
        int present = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (present < 0)
            return errno == EINVAL ? 0 : -1;
        if (present && !holds(set, capability) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return -1;
    }
    return 0;
}

static int set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];

    for (int i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)(effective >> (32 * i));
        data[i].permitted = (uint32_t)(permitted >> (32 * i));
        data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
    }
    return (int)syscall(SYS_capset, &header, data);
}

static int raise_ambient(uint64_t set)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -1;
    for (unsigned capability = 0; capability < 64; capability++)
        if (holds(set, capability) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
            return -1;
    return 0;
}

int step_set_credentials(struct launch *launch, const struct step *step)
{
    uint32_t uid = step->credentials.uid, gid = step->credentials.gid;

    if (make_stdio(launch) < 0 || give_stdio_to(launch, uid) < 0)
        return -1;
    set_detail("bounding set", NULL);
    if (limit_bounding_set(step->credentials.bounding) < 0)
        return -1;
    set_detail("groups", NULL);
    if (setgroups(step->credentials.group_count, step->credentials.groups) < 0)
        return -1;
    set_detail("gid ", decimal(gid), NULL);
    if (setresgid(gid, gid, gid) < 0)
        return -1;
    set_detail("uid ", decimal(uid), NULL);
    /* without this a uid other than 0 would lose the permitted set before it could be cut down to what was asked */
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(uid, uid, uid) < 0)
        return -1;
    set_detail("capabilities", NULL);
    if (set_capabilities(step->credentials.effective, step->credentials.permitted, step->credentials.inheritable) < 0)
        return -1;
    set_detail("ambient capabilities", NULL);
    if (raise_ambient(step->credentials.ambient) < 0)
        return -1;
    clear_detail();
    return protect_child();
}
