/* Decodes a whole plan: PROTOCOL.md, section 2. It works on memory only and trusts no byte of it. */
#include <string.h>

#include "decode-step.h"

static void supervisor_section(struct reader *r, struct supervisor_plan *supervisor)
{
    supervisor->control_socket = read_absolute_path(r);
    supervisor->exit_file = read_absolute_path(r);
    supervisor->log_file = read_absolute_path_or_none(r);
    supervisor->log_max_bytes = read_u64(r);
    supervisor->log_max_files = read_u32(r);
    check_plan(r, supervisor->log_max_files >= 1 && supervisor->log_max_files <= 1000, "not 1 to 1000 log files");
    uint8_t flags = read_choice(r, 0, 7);
    supervisor->tty = flags & 1;
    supervisor->open_stdin = flags & 2;
    supervisor->stdin_once = flags & 4;
    supervisor->oom_counter_file = read_absolute_path_or_none(r);
}

static const char *one_step(struct reader *r, struct step *step, bool *cloned)
{
    memset(step, 0, sizeof *step);
    step->op = read_u16(r);
    step->side = read_choice(r, SIDE_HOST, SIDE_CONTAINER);
    uint8_t flags = read_choice(r, 0, 3);
    step->optional = flags & 1;
    step->ahead = flags & 2;
    step->at.base = NO_SLOT;
    step->at.path = "";
    uint32_t length = read_u32(r);
    struct reader part = read_section(r, length);
    if (r->error)
        return r->error;
    decode_payload(&part, step);
    const char *error = reading_error(&part);
    if (error)
        return error;
    error = misplaced_step(step, *cloned);
    *cloned = *cloned || step->op == OP_CLONE;
    return error;
}

/* Steps ahead are a run of the child's of their own: the host's side goes on behind it, and waits where the next one begins. */
static const char *misplaced_ahead(const struct step *steps, uint32_t i)
{
    const struct step *before = i > 0 ? &steps[i - 1] : NULL;

    if (steps[i].ahead && (steps[i].side != SIDE_CONTAINER || steps[i].op == OP_EXEC))
        return "a step that cannot be done ahead";
    if (before && before->side == SIDE_CONTAINER && steps[i].side == SIDE_CONTAINER && before->ahead != steps[i].ahead)
        return "steps ahead beside others of the container side";
    return NULL;
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
    const uint8_t *magic = take_bytes(&r, 4);
    if (!magic || memcmp(magic, "TSDP", 4) != 0)
        return failed(error, NO_STEP, "no plan");
    uint16_t version = read_u16(&r), reserved = read_u16(&r);
    if (version != PLAN_VERSION || reserved != 0)
        return failed(error, NO_STEP, "a plan of another version");
    uint32_t total = read_u32(&r);
    plan->step_count = read_u32(&r);
    uint32_t supervisor_length = read_u32(&r);
    if (r.error || total != length || length > PLAN_LIMIT)
        return failed(error, NO_STEP, "a plan of the wrong length");
    if (plan->step_count < 1 || plan->step_count > STEP_LIMIT)
        return failed(error, NO_STEP, "not 1 to 4096 steps");

    struct reader part = read_section(&r, supervisor_length);
    if (!r.error)
        supervisor_section(&part, &plan->supervisor);
    const char *message = r.error ? r.error : reading_error(&part);
    if (message)
        return failed(error, NO_STEP, message);

    plan->steps = arena_take(&r, plan->step_count, sizeof *plan->steps);
    if (!plan->steps)
        return failed(error, NO_STEP, r.error);
    bool cloned = false;
    uint32_t ptys = 0;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        message = one_step(&r, &plan->steps[i], &cloned);
        if (!message)
            message = misplaced_ahead(plan->steps, i);
        if (!message && (plan->steps[i].op == OP_EXEC) != (i == plan->step_count - 1))
            message = "exec is not the last step, once";
        if (message)
            return failed(error, i, message);
        ptys += plan->steps[i].op == OP_OPEN_PTY;
    }
    message = reading_error(&r);
    if (message)
        return failed(error, NO_STEP, message);
    if (ptys != (plan->supervisor.tty ? 1 : 0))
        return failed(error, NO_STEP, "a terminal without one open-pty, or the other way round");
    return 0;
}
