/* Attaches a version 2 cgroup's device filter, bpf(2). */
#include <errno.h>

#include "failure.h"
#include "kernel.h"
#include "paths.h"

#include <linux/bpf.h>

static int bpf(int command, union bpf_attr *attributes)
{
    return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

int step_attach_device_program(const struct launch *launch, const struct step *step)
{
    union bpf_attr load = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insns = (uint64_t)(uintptr_t)step->device.program.data,
        .insn_cnt = (uint32_t)(step->device.program.length / sizeof(struct bpf_insn)),
        .license = (uint64_t)(uintptr_t) "Apache-2.0",
    };
    int cgroup = open_plan_path(launch, &step->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (cgroup < 0)
        return -1;
    int program = bpf(BPF_PROG_LOAD, &load), result = -1;
    if (program < 0) {
        set_detail("loading the device program", NULL);
    } else {
        union bpf_attr attach = {
            .target_fd = (uint32_t)cgroup,
            .attach_bpf_fd = (uint32_t)program,
            .attach_type = BPF_CGROUP_DEVICE,
            .attach_flags = BPF_F_ALLOW_MULTI,
        };
        result = bpf(BPF_PROG_ATTACH, &attach);
    }
    int error = errno;
    if (program >= 0)
        close(program);
    close(cgroup);
    errno = error;
    return result;
}
