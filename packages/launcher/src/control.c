/* The daemons' connections: PROTOCOL.md, section 3. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "descriptors.h"
#include "plan.h"
#include "supervisor.h"

static void tell(struct connection *connection, const uint8_t *frame, size_t length)
{
    if (connection->closing)
        return;
    /* nothing is kept for a daemon that does not read: it may connect again and ask */
    if (send(connection->socket, frame, length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length)
        connection->closing = true;
}

void tell_all(struct supervisor *supervisor, const uint8_t *frame, size_t length)
{
    for (struct connection *connection = supervisor->connections; connection; connection = connection->next)
        tell(connection, frame, length);
}

void tell_warning(struct supervisor *supervisor, const struct failure *warning)
{
    uint8_t frame[MESSAGE_LIMIT];

    tell_all(supervisor, frame, encode_failure(frame, MESSAGE_WARNING, warning));
}

struct connection *add_connection(struct supervisor *supervisor, int socket, bool inherited)
{
    struct connection *connection = calloc(1, sizeof *connection);

    if (!connection) {
        close(socket);
        return NULL;
    }
    connection->socket = socket;
    connection->inherited = inherited;
    connection->next = supervisor->connections;
    supervisor->connections = connection;
    return connection;
}

/* Binds; a socket that a killed supervisor left behind (nobody listens on it) is replaced. */
static int bind_private(int listener, const struct sockaddr_un *address)
{
    mode_t before = umask(0177);
    int result = bind(listener, (const struct sockaddr *)address, sizeof *address);

    if (result < 0 && errno == EADDRINUSE) {
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool stale = connect(probe, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
        close(probe);
        errno = EADDRINUSE;
        if (stale && unlink(address->sun_path) == 0)
            result = bind(listener, (const struct sockaddr *)address, sizeof *address);
    }
    umask(before);
    return result;
}

/* Binds to the path; the directory is named by descriptor, since sun_path holds no more than 107 bytes. */
int listen_for_daemons(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char directory_path[PATH_LIMIT + 1];
    const char *slash = strrchr(path, '/');

    join_text(directory_path, sizeof directory_path, path, NULL);
    directory_path[slash == path ? 1 : slash - path] = 0;
    int directory = open(directory_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -1;
    size_t length = join_text(address.sun_path, sizeof address.sun_path, "/proc/self/fd/", decimal((uint64_t)directory), "/",
                              slash + 1, NULL);
    int listener = -1;
    if (length >= sizeof address.sun_path - 1)
        errno = ENAMETOOLONG;
    else
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0)
        return -1;
    if (bind_private(listener, &address) < 0 || listen(listener, 16) < 0)
        return -1;
    close(directory);
    return move_descriptor(listener, LISTEN_FD);
}

/* Tells a new connection what it missed. */
static void catch_up(const struct supervisor *supervisor, struct connection *connection)
{
    uint8_t frame[MESSAGE_LIMIT];

    if (supervisor->state != STATE_STARTING)
        tell(connection, frame, encode_started(frame, (uint32_t)supervisor->child, supervisor->report.started_ns));
    if (supervisor->state == STATE_EXITED)
        tell(connection, frame, encode_exited(frame, &supervisor->report));
}

bool accept_daemon(struct supervisor *supervisor)
{
    int socket = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t length = sizeof peer;

    if (socket < 0)
        return false;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.uid != geteuid()) {
        close(socket);
        return true;
    }
    struct connection *connection = add_connection(supervisor, socket, false);
    if (connection)
        catch_up(supervisor, connection);
    return true;
}

/* The descriptor that came with the oldest ATTACH not answered yet, or -1. */
static int take_received(struct connection *connection)
{
    if (connection->received_count == 0)
        return -1;
    int first = connection->received[0];
    memmove(connection->received, connection->received + 1, --connection->received_count * sizeof first);
    return first;
}

/* Why this client cannot be attached; 0 where it can. */
static int attach_error(const struct supervisor *supervisor, int socket, const struct request *request)
{
    if (supervisor->state == STATE_EXITED)
        return ESRCH;
    if (!is_stream_socket(socket))
        return ENOTSOCK;
    if (!(request->attach.flags & ATTACH_BEHIND_LOG))
        return 0;
    /* a client that comes before the start has missed nothing */
    return supervisor->state == STATE_STARTING ? EAGAIN : supervisor->log.directory < 0 ? ENODATA : 0;
}

/* Cuts the output: what is in the log's files now is the daemon's to send, all the rest is kept for the client until RELEASE,
 * the lines that are unfinished, and so not in a file, first. */
static void hold_client(struct supervisor *supervisor, struct connection *connection, struct attach_client *client, uint32_t id)
{
    struct log_file *log = &supervisor->log;

    flush_log(log);
    client->held_by = connection;
    client->attach_id = id;
    for (int stream = LOG_STDOUT; stream <= LOG_STDERR; stream++)
        if (log->partial[stream].length)
            send_output(client, stream == LOG_STDERR ? ATTACH_STDERR : ATTACH_STDOUT, (const uint8_t *)log->partial[stream].text,
                        log->partial[stream].length, now_ns(CLOCK_MONOTONIC));
}

static int attach(struct supervisor *supervisor, struct connection *connection, int socket, const struct request *request)
{
    int error = attach_error(supervisor, socket, request);

    if (error) {
        close(socket);
        return error;
    }
    struct attach_client *client = new_client(socket, request, !supervisor->tty);
    if (!client)
        return ENOMEM;
    if (request->attach.flags & ATTACH_BEHIND_LOG)
        hold_client(supervisor, connection, client, request->id);
    if (!supervisor->open_stdin) {
        client->flags &= (uint8_t)~ATTACH_STDIN;
        drop_input(client);
    }
    client->next = supervisor->clients;
    supervisor->clients = client;
    return 0;
}

/* The process is not reaped before state is STATE_EXITED, so its pid is still its own. */
static int send_signal(const struct supervisor *supervisor, const struct request *request)
{
    if (supervisor->state != STATE_RUNNING)
        return supervisor->state == STATE_STARTING ? EAGAIN : ESRCH;
    pid_t target = request->signal.whole_group ? -supervisor->child : supervisor->child;
    return kill(target, (int)request->signal.number) < 0 ? errno : 0;
}

static int release(struct supervisor *supervisor, const struct connection *connection, const struct request *request)
{
    for (struct attach_client *client = supervisor->clients; client; client = client->next)
        if (client->held_by == connection && client->attach_id == request->release.attach_id) {
            client->held_by = NULL;
            client->progress_ns = now_ns(CLOCK_MONOTONIC);
            return 0;
        }
    return ENOENT;
}

static int resize(const struct supervisor *supervisor, const struct request *request)
{
    const struct winsize size = {.ws_row = request->resize.rows, .ws_col = request->resize.columns};

    if (supervisor->state != STATE_RUNNING)
        return supervisor->state == STATE_STARTING ? EAGAIN : ESRCH;
    if (!supervisor->tty || supervisor->stdin_fd < 0)
        return ENOTTY;
    return ioctl(supervisor->stdin_fd, TIOCSWINSZ, &size) < 0 ? errno : 0;
}

static int handle(struct supervisor *supervisor, struct connection *connection, const struct request *request)
{
    uint8_t frame[MESSAGE_LIMIT];
    int error = 0;

    switch ((enum request_type)request->type) {
    case REQUEST_PREPARE:
        if (!connection->inherited || supervisor->prepare_asked || supervisor->plan_asked)
            return -1;
        supervisor->prepare_asked = true;
        supervisor->prepare_namespaces = request->prepare.namespaces;
        return 0;
    case REQUEST_SLOTS:
        if (!connection->inherited || supervisor->plan_asked)
            return -1;
        for (uint32_t slot = request->slots.first; slot < request->slots.first + request->slots.count; slot++) {
            int fd = take_received(connection);
            if (fd < 0 || move_descriptor(fd, slot_fd(slot)) < 0)
                return -1;
        }
        return 0;
    case REQUEST_PLAN: {
        int plan = take_received(connection);
        if (plan < 0 || !connection->inherited || supervisor->plan_asked || move_descriptor(plan, PLAN_FD) < 0)
            return -1;
        supervisor->plan_asked = true;
        return 0;
    }
    case REQUEST_START:
        if (!connection->inherited || supervisor->start_asked || !supervisor->plan_taken)
            return -1;
        supervisor->start_asked = true;
        return 0;
    case REQUEST_ATTACH: {
        int socket = take_received(connection);
        if (socket < 0)
            return -1;
        if (!supervisor->plan_taken) {
            close(socket);
            return -1;
        }
        error = attach(supervisor, connection, socket, request);
        if (error || !(request->attach.flags & ATTACH_BEHIND_LOG))
            break;
        tell(connection, frame,
             encode_log_position_reply(frame, request->id, supervisor->log.sequence, supervisor->log.size));
        return 0;
    }
    case REQUEST_RELEASE:
        error = release(supervisor, connection, request);
        break;
    case REQUEST_SIGNAL:
        error = send_signal(supervisor, request);
        break;
    case REQUEST_RESIZE:
        error = resize(supervisor, request);
        break;
    case REQUEST_STATUS:
        tell(connection, frame,
             encode_status_reply(frame, request->id, supervisor->state, (uint32_t)supervisor->child, &supervisor->report));
        return 0;
    }
    tell(connection, frame, encode_reply(frame, request->id, error));
    return 0;
}

/* Notes the descriptors of one message. More than the frames so far could use are a breach of the protocol. */
static int note_descriptors(struct connection *connection, struct msghdr *message)
{
    int result = message->msg_flags & MSG_CTRUNC ? -1 : 0;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            fd = keep_from_slots(fd);
            if (fd < 0 || connection->received_count == RECEIVED_LIMIT) {
                if (fd >= 0)
                    close(fd);
                result = -1;
                continue;
            }
            connection->received[connection->received_count++] = fd;
        }
    }
    return result;
}

/* Reads once. Returns 1 when bytes came, 0 when none are there, -1 at the end. */
static int receive_bytes(struct connection *connection)
{
    enum { CHUNK = 4096 };
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(RIGHTS_LIMIT * sizeof(int))];
    } control;
    uint8_t *room = frame_room(&connection->frames, CHUNK);
    if (!room)
        return -1;
    struct iovec part = {room, CHUNK};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(connection->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    if (note_descriptors(connection, &message) < 0 || got == 0)
        return -1;
    connection->frames.used += (size_t)got;
    return 1;
}

/* Frames wait until what was asked before them is done; behind START, until the process runs. */
static bool must_wait(const struct supervisor *supervisor)
{
    return (supervisor->prepare_asked && !supervisor->prepared) || (supervisor->plan_asked && !supervisor->plan_taken) ||
           (supervisor->start_asked && supervisor->state == STATE_STARTING);
}

/* Handles the frames that are complete. */
static int handle_frames(struct supervisor *supervisor, struct connection *connection)
{
    const uint8_t *body;
    size_t length;
    struct request request;
    int found;

    while (!must_wait(supervisor) && (found = next_frame(&connection->frames, &body, &length)) != 0)
        if (found < 0 || parse_request(body, length, &request) < 0 || handle(supervisor, connection, &request) < 0)
            return -1;
    return 0;
}

void receive_requests(struct supervisor *supervisor, struct connection *connection)
{
    int received = connection->closing ? 0 : receive_bytes(connection);

    if (handle_frames(supervisor, connection) < 0 || received < 0)
        connection->closing = true;
}

static void free_connection(struct connection *connection)
{
    for (size_t i = 0; i < connection->received_count; i++)
        close(connection->received[i]);
    close(connection->socket);
    free_frames(&connection->frames);
    free(connection);
}

void remove_closed_connections(struct supervisor *supervisor)
{
    for (struct connection **at = &supervisor->connections; *at;) {
        struct connection *connection = *at;
        if (!connection->closing) {
            at = &connection->next;
            continue;
        }
        *at = connection->next;
        /* the daemon may have died in the middle of what it sends before: nothing can follow that */
        for (struct attach_client *client = supervisor->clients; client; client = client->next)
            if (client->held_by == connection) {
                client->held_by = NULL;
                close_client_socket(client);
            }
        free_connection(connection);
    }
}

static bool holds_client(const struct supervisor *supervisor, const struct connection *connection)
{
    for (const struct attach_client *client = supervisor->clients; client; client = client->next)
        if (client->held_by == connection)
            return true;
    return false;
}

void close_idle_connections(struct supervisor *supervisor)
{
    for (struct connection *connection = supervisor->connections; connection; connection = connection->next)
        if (!holds_client(supervisor, connection))
            connection->closing = true;
    remove_closed_connections(supervisor);
}
