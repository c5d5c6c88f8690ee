/* The supervisor's loop, from exec to the last byte of the last client. */
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"
#include "oom-counter.h"
#include "plan.h"

/* What is still in pipes when the process has ended is bounded by their size; somebody else may go on writing. */
enum { REMAINS_LIMIT = 4 * 1024 * 1024 };

enum source { SOURCE_SIGNALS, SOURCE_LISTENER, SOURCE_STDOUT, SOURCE_STDERR, SOURCE_STDIN, SOURCE_OTHERS };

/* What poll(2) waits for: the fixed sources, then the connections, then the clients, in the order of their lists. */
struct waits {
    struct pollfd *list;
    size_t size;
    size_t connections, clients;
};

uint64_t now_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void close_stdin(struct supervisor *supervisor)
{
    if (supervisor->stdin_fd >= 0 && !supervisor->tty)
        close(supervisor->stdin_fd);
    if (!supervisor->tty)
        supervisor->stdin_fd = -1;
}

/* Back-pressure: while a client has not taken everything (one that is held: as much as is kept), no output is read. */
static bool is_paused(const struct supervisor *supervisor)
{
    for (const struct attach_client *client = supervisor->clients; client; client = client->next)
        if (holds_output_back(client))
            return true;
    return false;
}

static void distribute(struct supervisor *supervisor, enum log_stream stream, size_t length)
{
    struct timespec now;
    uint64_t monotonic = now_ns(CLOCK_MONOTONIC);

    clock_gettime(CLOCK_REALTIME, &now);
    append_log(&supervisor->log, stream, supervisor->scratch, length, now);
    for (struct attach_client *client = supervisor->clients; client; client = client->next)
        send_output(client, stream == LOG_STDERR ? ATTACH_STDERR : ATTACH_STDOUT, supervisor->scratch, length, monotonic);
}

/* Reads once and passes on. Returns how much there was; 0 when there is nothing now or any more. */
static size_t read_output(struct supervisor *supervisor, enum log_stream stream)
{
    int *source = stream == LOG_STDERR ? &supervisor->stderr_fd : &supervisor->stdout_fd;
    ssize_t got = *source < 0 ? 0 : read(*source, supervisor->scratch, READ_SIZE);

    if (got > 0) {
        distribute(supervisor, stream, (size_t)got);
        return (size_t)got;
    }
    if (*source >= 0 && (got == 0 || (errno != EAGAIN && errno != EINTR))) {
        if (!supervisor->tty)
            close(*source);
        *source = -1;
    }
    return 0;
}

/* Tells once that the log fails, and once how much was lost. */
static void tell_log_state(struct supervisor *supervisor, bool ended)
{
    struct log_file *log = &supervisor->log;
    struct failure warning = {.step = NO_STEP, .error = log->error ? log->error : supervisor->log_error};

    if (log->error && !supervisor->log_error) {
        join_text(warning.detail, sizeof warning.detail, "the log cannot be written; records are being lost", NULL);
        tell_warning(supervisor, &warning);
    } else if (supervisor->log_error && log->lost_records && (ended || !log->error)) {
        join_text(warning.detail, sizeof warning.detail, "records lost from the log: ", decimal(log->lost_records), NULL);
        tell_warning(supervisor, &warning);
        log->lost_records = 0;
    }
    supervisor->log_error = log->error;
}

static void pass_all_input(struct supervisor *supervisor)
{
    for (struct attach_client *client = supervisor->clients; client; client = client->next)
        if (has_input(client) && supervisor->stdin_fd >= 0 && pass_input(client, supervisor->stdin_fd) < 0)
            close_stdin(supervisor);
}

/* What happens to a client after something happened to it. */
static void settle_client(struct supervisor *supervisor, struct attach_client *client)
{
    if (supervisor->stdin_fd < 0)
        drop_input(client);
    if (client->detached && client->socket >= 0)
        close_client_socket(client);
    if (client->input_ended && !has_input(client) && client->flags & ATTACH_STDIN) {
        if (supervisor->stdin_once && !client->detached)
            close_stdin(supervisor);
        client->flags &= (uint8_t)~ATTACH_STDIN;
    }
}

/* Whether nothing will come from or go to this client any more. */
static bool is_finished(const struct supervisor *supervisor, const struct attach_client *client)
{
    if (supervisor->state == STATE_EXITED)
        return client->output_gone || (!has_kept_output(client) && !client->held_by);
    bool no_output = client->output_gone || !(client->flags & (ATTACH_STDOUT | ATTACH_STDERR));
    return no_output && client->input_ended && !has_input(client);
}

static void remove_finished_clients(struct supervisor *supervisor)
{
    for (struct attach_client **at = &supervisor->clients; *at;) {
        struct attach_client *client = *at;
        settle_client(supervisor, client);
        if (!is_finished(supervisor, client)) {
            at = &client->next;
            continue;
        }
        *at = client->next;
        free_client(client);
    }
}

static bool takes_output(const struct attach_client *client)
{
    return !client->output_gone && client->flags & (ATTACH_STDOUT | ATTACH_STDERR);
}

/* Milliseconds until then, rounded up; 0 where it has come. */
static int until(uint64_t moment_ns)
{
    uint64_t now = now_ns(CLOCK_MONOTONIC);

    return now >= moment_ns ? 0 : (int)((moment_ns - now) / 1000000 + 1);
}

/* Disconnects clients that hold others up. Returns the poll(2) timeout until the next one might have to go, in ms. */
static int drop_stalled_clients(struct supervisor *supervisor)
{
    const uint64_t limit = (uint64_t)STALL_LIMIT_S * NS_PER_S;
    uint64_t now = 0, soonest = UINT64_MAX;
    size_t takers = 0;

    if (supervisor->state == STATE_EXITED || !is_paused(supervisor))
        return -1;
    for (struct attach_client *client = supervisor->clients; client; client = client->next)
        takers += takes_output(client);
    now = now_ns(CLOCK_MONOTONIC);
    for (struct attach_client *client = supervisor->clients; client && takers > 1; client = client->next) {
        if (!holds_output_back(client))
            continue;
        uint64_t deadline = client->progress_ns + limit;
        if (now >= deadline) {
            close_client_socket(client);
            takers--;
        } else if (deadline < soonest) {
            soonest = deadline;
        }
    }
    return soonest == UINT64_MAX ? -1 : until(soonest);
}

/* Reaps all that has ended: the process, and orphans of it, since this is their subreaper. Returns true when the process did. */
static bool reap(struct supervisor *supervisor)
{
    struct signalfd_siginfo ignored;
    bool ended = false;

    while (read(supervisor->signals, &ignored, sizeof ignored) > 0)
        continue;
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
            return ended;
        if (info.si_pid != supervisor->child)
            continue;
        supervisor->report.signalled = info.si_code != CLD_EXITED;
        supervisor->report.code = (uint32_t)info.si_status;
        supervisor->report.finished_ns = now_ns(CLOCK_REALTIME);
        ended = true;
    }
}

/* Everything that must be true before anyone hears of the exit. */
static void finish(struct supervisor *supervisor)
{
    uint8_t frame[MESSAGE_LIMIT];
    struct timespec now;

    for (int stream = LOG_STDOUT; stream <= LOG_STDERR; stream++)
        for (size_t total = 0, got; total < REMAINS_LIMIT; total += got)
            if ((got = read_output(supervisor, (enum log_stream)stream)) == 0)
                break;
    clock_gettime(CLOCK_REALTIME, &now);
    close_log(&supervisor->log, now);
    tell_log_state(supervisor, true);
    supervisor->report.oom_killed = supervisor->has_oom_counter && read_oom_kills(OOM_COUNTER_FD) > supervisor->oom_kills_before;
    if (write_exit_file(EXIT_DIRECTORY_FD, supervisor->exit_name, (uint32_t)supervisor->child, &supervisor->report) < 0) {
        struct failure warning = {.step = NO_STEP, .error = errno, .detail = "the exit file cannot be written"};
        tell_warning(supervisor, &warning);
    }
    /* before anyone hears of the exit: whoever does may start the container anew, with a socket of the same name, or unmount
     * what the log is in. Who found the socket is let in; nobody can come any more once it is shut down. */
    unlink(supervisor->socket_path);
    shutdown(LISTEN_FD, SHUT_RD);
    while (accept_daemon(supervisor))
        continue;
    for (int fd = LISTEN_FD; fd <= EXIT_DIRECTORY_FD; fd++)
        close(fd);
    supervisor->state = STATE_EXITED;
    tell_all(supervisor, frame, encode_exited(frame, &supervisor->report));
    /* what was asked meanwhile gets its answer */
    for (struct connection *connection = supervisor->connections; connection; connection = connection->next)
        receive_requests(supervisor, connection);
    close_idle_connections(supervisor);
    close(TERMINAL_FD);
}

static struct pollfd *make_room(struct waits *waits, size_t count)
{
    if (count > waits->size) {
        struct pollfd *bigger = realloc(waits->list, count * sizeof *bigger);
        if (!bigger)
            return NULL;
        waits->list = bigger;
        waits->size = count;
    }
    return waits->list;
}

static struct pollfd wait_for(int descriptor, short events)
{
    return (struct pollfd){.fd = events ? descriptor : -1, .events = events};
}

static struct pollfd wait_for_client(const struct supervisor *supervisor, const struct attach_client *client)
{
    struct pollfd wait = {.fd = client->socket};

    /* its input waits in its socket while the process has not taken what came before */
    if (!client->input_ended && !has_input(client) && supervisor->state == STATE_RUNNING)
        wait.events |= POLLIN;
    if (has_kept_output(client) && !client->held_by)
        wait.events |= POLLOUT;
    /* a hang-up is always reported, so a client that is only kept for its input is not watched */
    if (client->output_gone && !wait.events)
        wait.fd = -1;
    return wait;
}

/* Lists all that may happen next. Returns how many, or 0 without memory. */
static size_t list_waits(const struct supervisor *supervisor, struct waits *waits)
{
    size_t connections = 0, clients = 0;
    bool paused = is_paused(supervisor), input = false, running = supervisor->state == STATE_RUNNING;

    for (const struct connection *connection = supervisor->connections; connection; connection = connection->next)
        connections++;
    for (const struct attach_client *client = supervisor->clients; client; client = client->next) {
        clients++;
        input = input || has_input(client);
    }
    struct pollfd *at = make_room(waits, SOURCE_OTHERS + connections + clients);
    if (!at)
        return 0;
    at[SOURCE_SIGNALS] = wait_for(supervisor->signals, POLLIN);
    at[SOURCE_LISTENER] = wait_for(LISTEN_FD, running ? POLLIN : 0);
    at[SOURCE_STDOUT] = wait_for(supervisor->stdout_fd, running && !paused ? POLLIN : 0);
    at[SOURCE_STDERR] = wait_for(supervisor->stderr_fd, running && !paused ? POLLIN : 0);
    at[SOURCE_STDIN] = wait_for(supervisor->stdin_fd, running && input ? POLLOUT : 0);
    at += SOURCE_OTHERS;
    for (const struct connection *connection = supervisor->connections; connection; connection = connection->next)
        *at++ = wait_for(connection->socket, POLLIN);
    for (const struct attach_client *client = supervisor->clients; client; client = client->next)
        *at++ = wait_for_client(supervisor, client);
    waits->connections = connections;
    waits->clients = clients;
    return SOURCE_OTHERS + connections + clients;
}

static void serve_client(struct supervisor *supervisor, struct attach_client *client, short events)
{
    if (events & POLLOUT)
        send_kept_output(client, now_ns(CLOCK_MONOTONIC));
    if (events & (POLLIN | POLLHUP | POLLERR) && !client->input_ended && !has_input(client))
        receive_input(client, supervisor->scratch, READ_SIZE / 4);
    if (events & (POLLHUP | POLLERR))
        lose_output(client);
}

/* Does what poll(2) said. Returns true when the process has ended. */
static bool serve(struct supervisor *supervisor, const struct waits *waits)
{
    const struct pollfd *at = waits->list;

    /* at once: what a daemon asks for must not meet a pid that may be another's by now */
    if (at[SOURCE_SIGNALS].revents && reap(supervisor))
        return true;
    if (at[SOURCE_STDOUT].revents)
        read_output(supervisor, LOG_STDOUT);
    if (at[SOURCE_STDERR].revents && !is_paused(supervisor))
        read_output(supervisor, LOG_STDERR);
    if (at[SOURCE_STDOUT].revents || at[SOURCE_STDERR].revents) {
        flush_log(&supervisor->log);
        tell_log_state(supervisor, false);
    }
    at += SOURCE_OTHERS;
    /* new clients and connections are put before the old ones: walk the old ones only */
    struct connection *connection = supervisor->connections;
    struct attach_client *client = supervisor->clients;
    for (size_t i = 0; i < waits->connections; i++, connection = connection->next, at++)
        if (at->revents)
            receive_requests(supervisor, connection);
    for (size_t i = 0; i < waits->clients; i++, client = client->next, at++)
        if (at->revents)
            serve_client(supervisor, client, at->revents);
    if (waits->list[SOURCE_LISTENER].revents)
        accept_daemon(supervisor);
    return false;
}

void supervise(struct supervisor *supervisor, void (*release)(void))
{
    const uint64_t release_at = now_ns(CLOCK_MONOTONIC) + RELEASE_AFTER_NS;
    struct waits waits = {0};

    /* what came behind START, and the initial input of clients */
    for (struct connection *connection = supervisor->connections; connection; connection = connection->next)
        receive_requests(supervisor, connection);
    for (;;) {
        pass_all_input(supervisor);
        /* first: it ends clients, too */
        if (supervisor->state == STATE_EXITED)
            close_idle_connections(supervisor);
        remove_closed_connections(supervisor);
        remove_finished_clients(supervisor);
        if (supervisor->state == STATE_EXITED && !supervisor->clients)
            return;
        int timeout = drop_stalled_clients(supervisor);
        if (release) {
            int remaining = until(release_at);
            if (remaining == 0) {
                release();
                release = NULL;
            } else if (timeout < 0 || remaining < timeout) {
                timeout = remaining;
            }
        }
        size_t count = list_waits(supervisor, &waits);
        if (count == 0)
            timeout = 10;
        if (poll(waits.list, count, timeout) <= 0)
            continue;
        if (serve(supervisor, &waits))
            finish(supervisor);
    }
}
