/* tsd-launch: executes one launch plan, then supervises the process it made. PROTOCOL.md is its specification. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
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

    if (fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(PLAN_FD, F_SETFD, FD_CLOEXEC) < 0)
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
    if (close_range(CHILD_STDIN_FD, FIRST_SLOT_FD - 1, 0) < 0 || close_range(LAST_SLOT_FD + 1, ~0U, 0) < 0)
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

static void *map_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        fail_now("memory");
    return memory;
}

/* The plan's bytes: a copy, so that nobody can change them after they were checked. */
static uint8_t *read_plan(size_t *length)
{
    struct stat status;

    if (fstat(PLAN_FD, &status) < 0)
        fail_now("plan");
    if (status.st_size < 1 || status.st_size > PLAN_LIMIT) {
        errno = EFBIG;
        fail_now("plan");
    }
    uint8_t *bytes = map_memory((size_t)status.st_size);
    for (*length = 0; *length < (size_t)status.st_size;) {
        ssize_t got = pread(PLAN_FD, bytes + *length, (size_t)status.st_size - *length, (off_t)*length);
        if (got <= 0)
            fail_now("plan");
        *length += (size_t)got;
    }
    close(PLAN_FD);
    return bytes;
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
        while (end < SLOT_LIMIT && plan_names_slot(plan, end))
            (void)fcntl(slot_fd(end++), F_SETFD, FD_CLOEXEC);
        slot = end;
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
static void await_start(void)
{
    struct connection *daemon = supervisor.connections;

    while (!supervisor.start_asked && !daemon->closing) {
        struct pollfd wait = {.fd = CONTROL_FD, .events = POLLIN};
        if (poll(&wait, 1, -1) > 0)
            receive_requests(&supervisor, daemon);
    }
    if (!supervisor.start_asked)
        _exit(0);
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

int main(int argc, char **argv, char **env)
{
    struct plan plan;
    struct plan_error error;
    struct launch launch = {.plan = &plan, .umask = 022};
    struct failure failure;
    size_t length;

    if (argc > 1 && strcmp(argv[0], INIT_NAME) == 0)
        run_init(argv + 1, env);
    if (!add_connection(&supervisor, CONTROL_FD, true))
        _exit(1);
    leave_daemon();
    uint8_t *bytes = read_plan(&length);
    struct arena arena = {.size = plan_arena_size(length)};
    arena.start = map_memory(arena.size);
    if (decode_plan(bytes, length, &arena, &plan, &error) < 0) {
        failure = (struct failure){.step = error.step, .error = EINVAL};
        join_text(failure.detail, sizeof failure.detail, "invalid plan: ", error.message, NULL);
        fail(&failure);
    }
    close_unnamed_slots(&plan);
    /* clients that attach before START ask for these */
    supervisor.tty = plan.supervisor.tty;
    supervisor.open_stdin = plan.supervisor.open_stdin;
    supervisor.stdin_once = plan.supervisor.stdin_once && !plan.supervisor.tty;
    await_start();
    prepare(&plan.supervisor);
    if (run_plan(&launch, warn, &failure) < 0)
        fail(&failure);
    open_oom_counter(plan.supervisor.oom_counter_file);
    start_supervision(&launch);
    munmap(arena.start, arena.size);
    munmap(bytes, length);
    supervise(&supervisor);
    _exit(0);
}
