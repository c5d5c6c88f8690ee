/* tsd-launch: executes one launch plan, then supervises the process it made. PROTOCOL.md is its specification. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "baton.h"
#include "descriptors.h"
#include "launch.h"
#include "oom-counter.h"
#include "supervisor.h"

static struct supervisor supervisor;

/* Tells the daemon why there will be no container, removes what was made for it and ends. */
static _Noreturn void fail(const struct failure *failure)
{
    uint8_t frame[MESSAGE_LIMIT];

    if (supervisor.socket_path[0])
        unlink(supervisor.socket_path);
    for (struct attach_client *client = supervisor.clients; client; client = client->next)
        close_client_socket(client);
    tell_all(&supervisor, frame, encode_failure(frame, MESSAGE_FAILED, failure));
    _exit(1);
}

static _Noreturn void fail_now(const char *detail)
{
    struct failure failure = {.step = NO_STEP, .error = errno};

    join_text(failure.detail, sizeof failure.detail, detail, NULL);
    fail(&failure);
}

/* A process of its own: not the daemon's child, in no terminal, with none of its signals and descriptors. */
static void leave_daemon(void)
{
    struct rlimit files;
    sigset_t all;

    if (fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC) < 0)
        _exit(1);
    pid_t pid = fork();
    if (pid < 0)
        fail_now("fork");
    if (pid > 0)
        _exit(0);
    setsid();
    prctl(PR_SET_NAME, "tsd-launch");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        fail_now("prctl");
    for (int signal = 1; signal < NSIG; signal++)
        if (signal != SIGKILL && signal != SIGSTOP)
            (void)sigaction(signal, &(const struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 || chdir("/") < 0)
        fail_now("start");
    if (close_range(CONTROL_FD + 1, ~0U, 0) < 0)
        fail_now("close_range");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++)
        if (null < 0 || (fd != null && dup3(null, fd, O_CLOEXEC) < 0))
            fail_now("/dev/null");
    if (reserve_fixed_places(0) < 0)
        fail_now("/dev/null");
    if (null >= FIRST_FREE_FD)
        close(null);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < LEAST_OPEN_FILES) {
        files.rlim_cur = files.rlim_max < LEAST_OPEN_FILES ? files.rlim_max : LEAST_OPEN_FILES;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0)
            fail_now("RLIMIT_NOFILE");
    }
}

/* Memory for any plan: what is not touched costs nothing. Shared, since a child that was made ahead sees the plan there too. */
struct plan_memory {
    struct plan plan;
    uint8_t bytes[PLAN_LIMIT];
    uint8_t arena[];
};

static size_t plan_memory_size(void)
{
    return sizeof(struct plan_memory) + plan_arena_size(PLAN_LIMIT);
}

static struct plan_memory *map_plan_memory(void)
{
    void *memory = mmap(NULL, plan_memory_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        fail_now("memory");
    return memory;
}

/* An ordinary plan's part of that memory, ahead of the plan: its thirty pages need no page fault then. */
static void touch_plan_memory(struct plan_memory *memory)
{
    enum { ORDINARY_PLAN_BYTES = 32 * 1024, ORDINARY_ARENA_BYTES = 64 * 1024, PAGE_MASK = 4095 };
    uint8_t *arena = memory->arena - ((uintptr_t)memory->arena & PAGE_MASK);

    /* only a help, which the kernel has since Linux 5.14 */
    (void)madvise(memory, offsetof(struct plan_memory, bytes) + ORDINARY_PLAN_BYTES, MADV_POPULATE_WRITE);
    (void)madvise(arena, ORDINARY_ARENA_BYTES, MADV_POPULATE_WRITE);
}

/* Reads and checks the plan: a copy, so that nobody can change it after it was checked. */
static void take_plan(struct plan_memory *memory)
{
    struct plan_error error;
    struct stat status;
    size_t length = 0;

    if (fstat(PLAN_FD, &status) < 0)
        fail_now("plan");
    if (status.st_size < 1 || status.st_size > PLAN_LIMIT) {
        errno = EFBIG;
        fail_now("plan");
    }
    while (length < (size_t)status.st_size) {
        ssize_t got = pread(PLAN_FD, memory->bytes + length, (size_t)status.st_size - length, (off_t)length);
        if (got <= 0)
            fail_now("plan");
        length += (size_t)got;
    }
    close(PLAN_FD);
    struct arena arena = {.start = memory->arena, .size = plan_arena_size(length)};
    if (decode_plan(memory->bytes, length, &arena, &memory->plan, &error) < 0) {
        struct failure failure = {.step = error.step, .error = EINVAL};
        join_text(failure.detail, sizeof failure.detail, "invalid plan: ", error.message, NULL);
        fail(&failure);
    }
    /* clients that attach before START ask for these */
    const struct supervisor_plan *plan = &memory->plan.supervisor;
    supervisor.tty = plan->tty;
    supervisor.open_stdin = plan->open_stdin;
    supervisor.stdin_once = plan->stdin_once && !plan->tty;
    supervisor.plan_taken = true;
}

/* Descriptors that no step names are no business of this launch. */
static void close_unnamed_slots(const struct plan *plan)
{
    for (unsigned slot = 0; slot < SLOT_LIMIT;) {
        unsigned end = slot;
        while (end < SLOT_LIMIT && !plan_names_slot(plan, end))
            end++;
        if (end > slot)
            close_range((unsigned)slot_fd(slot), (unsigned)slot_fd(end - 1), 0);
        slot = end + 1;
    }
}

/* Opens the directory of `path` at a fixed place and copies the last component. */
static int open_directory_of(const char *path, int to, char *name, size_t name_size)
{
    char directory[PATH_LIMIT + 1];
    const char *slash = strrchr(path, '/');

    join_text(directory, sizeof directory, path, NULL);
    directory[slash == path ? 1 : slash - path] = 0;
    join_text(name, name_size, slash + 1, NULL);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : move_descriptor(fd, to);
}

/* Takes requests until START. */
static void await_start(struct launch *launch, struct plan_memory *memory)
{
    struct connection *daemon = supervisor.connections;

    while (!supervisor.start_asked) {
        struct pollfd wait = {.fd = CONTROL_FD, .events = POLLIN};
        if (daemon->closing)
            _exit(0);
        if (poll(&wait, 1, -1) > 0)
            receive_requests(&supervisor, daemon);
        if (supervisor.prepare_asked && !supervisor.prepared) {
            prepare_child(launch, supervisor.prepare_namespaces);
            supervisor.child = launch->child;
            supervisor.prepared = true;
            receive_requests(&supervisor, daemon);
        }
        if (supervisor.plan_asked && !supervisor.plan_taken) {
            wake_child(launch);
            take_plan(memory);
            receive_requests(&supervisor, daemon);
        }
    }
}

/* What the supervisor keeps of its section of the plan, and the files it writes to. */
static void prepare(const struct supervisor_plan *plan)
{
    char log_name[256];

    if (open_directory_of(plan->exit_file, EXIT_DIRECTORY_FD, supervisor.exit_name, sizeof supervisor.exit_name) < 0)
        fail_now(plan->exit_file);
    if (unlinkat(EXIT_DIRECTORY_FD, supervisor.exit_name, 0) < 0 && errno != ENOENT)
        fail_now(plan->exit_file);
    supervisor.log.directory = -1;
    if (plan->log_file[0]) {
        if (open_directory_of(plan->log_file, LOG_DIRECTORY_FD, log_name, sizeof log_name) < 0)
            fail_now(plan->log_file);
        open_log(&supervisor.log, LOG_DIRECTORY_FD, log_name, plan->log_max_bytes, plan->log_max_files);
    }
    if (listen_for_daemons(plan->control_socket) < 0)
        fail_now(plan->control_socket);
    join_text(supervisor.socket_path, sizeof supervisor.socket_path, plan->control_socket, NULL);
}

/* The cgroup exists from now on; kills before this life of the container do not count. */
static void open_oom_counter(const char *path)
{
    int fd = path[0] ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0 || move_descriptor(fd, OOM_COUNTER_FD) < 0)
        return;
    supervisor.has_oom_counter = true;
    supervisor.oom_kills_before = read_oom_kills(OOM_COUNTER_FD);
}

static void warn(const struct failure *warning)
{
    tell_warning(&supervisor, warning);
}

static void start_supervision(const struct launch *launch)
{
    uint8_t frame[MESSAGE_LIMIT];
    sigset_t children;

    supervisor.report.started_ns = now_ns(CLOCK_REALTIME);
    supervisor.state = STATE_RUNNING;
    supervisor.child = launch->child;
    bool tty = supervisor.tty;
    supervisor.stdin_fd = tty || supervisor.open_stdin ? STDIN_WRITE_FD : -1;
    supervisor.stdout_fd = tty ? STDIN_WRITE_FD : STDOUT_READ_FD;
    supervisor.stderr_fd = tty ? -1 : STDERR_READ_FD;
    supervisor.scratch = malloc(READ_SIZE);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    supervisor.signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    if (!supervisor.scratch || supervisor.signals < 0) {
        kill(launch->child, SIGKILL);
        fail_now("supervision");
    }
    tell_all(&supervisor, frame, encode_started(frame, (uint32_t)launch->child, supervisor.report.started_ns));
}

static struct plan_memory *launch_memory;
static bool slots_kept[SLOT_LIMIT];

/* Notes what is left to be let go; the child has closed the rest. By its numbers: the slot of an optional step that failed is
 * empty, and may be anybody's soon. */
static void note_kept_slots(const struct plan *plan)
{
    for (uint32_t slot = 0; slot < SLOT_LIMIT; slot++)
        slots_kept[slot] = plan_names_slot(plan, slot) && plan_leaves_detached(plan, slot) && fcntl(slot_fd(slot), F_GETFD) >= 0;
}

/* Each detached mount that goes waits for all processors (RCU): an exit is not to wait for that. */
static void release_launch(void)
{
    for (uint32_t slot = 0; slot < SLOT_LIMIT; slot++)
        if (slots_kept[slot])
            close(slot_fd(slot));
    munmap(launch_memory, plan_memory_size());
}

int main(int argc, char **argv, char **env)
{
    struct launch launch = {.umask = 022};
    struct failure failure;

    if (argc > 1 && strcmp(argv[0], INIT_NAME) == 0)
        run_init(argv + 1, env);
    if (!add_connection(&supervisor, CONTROL_FD, true))
        _exit(1);
    leave_daemon();
    launch_memory = map_plan_memory();
    touch_plan_memory(launch_memory);
    launch.plan = &launch_memory->plan;
    await_start(&launch, launch_memory);
    close_unnamed_slots(launch.plan);
    prepare(&launch.plan->supervisor);
    if (run_plan(&launch, warn, &failure) < 0)
        fail(&failure);
    open_oom_counter(launch.plan->supervisor.oom_counter_file);
    start_supervision(&launch);
    note_kept_slots(launch.plan);
    supervise(&supervisor, release_launch);
    _exit(0);
}
