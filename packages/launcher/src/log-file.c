#include "log-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descriptors.h"
#include "failure.h"

/* "2026-11-23T20:31:24", "Z stdout ", and all of a file's header */
enum { SECOND_LENGTH = 19, STREAM_LENGTH = 9, HEADER_LIMIT = SECOND_LENGTH + 10 + STREAM_LENGTH + 7 + 20 + 2 };
#define HEADER_TAG "P:file-"

static int open_file(struct log_file *log, int flags)
{
    struct stat status;

    log->file = openat(log->directory, log->name, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    if (log->file >= 0)
        log->file = keep_from_slots(log->file);
    if (log->file < 0 || fstat(log->file, &status) < 0)
        return -1;
    log->size = (uint64_t)status.st_size;
    return 0;
}

/* name.N */
static void numbered(const struct log_file *log, char *to, size_t size, uint32_t number)
{
    if (number == 0)
        join_text(to, size, log->name, NULL);
    else
        join_text(to, size, log->name, ".", decimal(number), NULL);
}

/* What the header of an open file says; 0 where it has none. */
static uint64_t read_sequence(int file)
{
    char text[HEADER_LIMIT + 1] = {0};
    const size_t tag = SECOND_LENGTH + 10 + STREAM_LENGTH;

    if (pread(file, text, HEADER_LIMIT, 0) <= (ssize_t)tag || strncmp(text + tag, HEADER_TAG, strlen(HEADER_TAG)) != 0)
        return 0;
    return strtoull(text + tag + strlen(HEADER_TAG), NULL, 10);
}

/* Which file this is. An earlier supervisor may have ended between moving the last one away and making this one. */
static void find_sequence(struct log_file *log)
{
    char before[280];

    log->sequence = read_sequence(log->file);
    if (log->size > 0)
        return;
    numbered(log, before, sizeof before, 1);
    int file = openat(log->directory, before, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return;
    log->sequence = read_sequence(file) + 1;
    log->header_due = true;
    close(file);
}

/* Whoever wrote the log before may have been killed in the middle of a record. */
static void cut_half_record(struct log_file *log)
{
    size_t window = LOG_TEXT_LIMIT + 256, length = log->size < window ? (size_t)log->size : window;
    ssize_t got = pread(log->file, log->buffer, length, (off_t)(log->size - length));

    if (got <= 0 || log->buffer[got - 1] == '\n')
        return;
    const char *newline = memrchr(log->buffer, '\n', (size_t)got);
    uint64_t whole = log->size - length + (newline ? (uint64_t)(newline + 1 - log->buffer) : 0);
    if (ftruncate(log->file, (off_t)whole) == 0)
        log->size = whole;
}

void open_log(struct log_file *log, int directory, const char *name, uint64_t max_bytes, uint32_t max_files)
{
    *log = (struct log_file){.directory = directory, .file = -1, .max_bytes = max_bytes, .max_files = max_files};
    join_text(log->name, sizeof log->name, name, NULL);
    log->buffer = malloc(LOG_BUFFER_SIZE);
    log->partial[0].text = malloc(LOG_TEXT_LIMIT);
    log->partial[1].text = malloc(LOG_TEXT_LIMIT);
    if (!log->buffer || !log->partial[0].text || !log->partial[1].text || open_file(log, 0) < 0)
        log->error = errno;
    else {
        cut_half_record(log);
        find_sequence(log);
    }
    if (!log->buffer || !log->partial[0].text || !log->partial[1].text)
        log->directory = -1;
}

/* A reader that has the file open finishes it: it is never emptied, not where it is the only one either. */
static int rotate(struct log_file *log)
{
    char from[280], to[280];

    if (log->max_files == 1 && unlinkat(log->directory, log->name, 0) < 0 && errno != ENOENT)
        return -1;
    for (uint32_t n = log->max_files - 1; n > 0; n--) {
        numbered(log, from, sizeof from, n - 1);
        numbered(log, to, sizeof to, n);
        if (renameat(log->directory, from, log->directory, to) < 0 && errno != ENOENT)
            return -1;
    }
    close(log->file);
    log->size = 0;
    log->sequence++;
    log->header_due = true;
    return open_file(log, O_TRUNC);
}

static uint32_t count_records(const char *text, size_t length)
{
    uint32_t count = 0;

    for (const char *at = text; (at = memchr(at, '\n', length - (size_t)(at - text))); at++)
        count++;
    return count;
}

/* What did not reach the disk is lost, but no half of a record stays behind. */
static void lose(struct log_file *log, size_t written, int error)
{
    const char *newline = written ? memrchr(log->buffer, '\n', written) : NULL;
    size_t whole = newline ? (size_t)(newline + 1 - log->buffer) : 0;

    if (whole != written && log->file >= 0 && ftruncate(log->file, (off_t)(log->size + whole)) < 0)
        error = errno;
    log->size += whole;
    log->lost_records += count_records(log->buffer + whole, log->used - whole);
    if (whole < log->header_used) {
        log->lost_records--;
        log->header_due = true;
    }
    log->error = error;
}

void flush_log(struct log_file *log)
{
    size_t written = 0;

    if (log->directory < 0 || log->used == 0)
        return;
    bool open = log->file >= 0 || open_file(log, 0) == 0;
    while (open && written < log->used) {
        ssize_t got = write(log->file, log->buffer + written, log->used - written);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        written += (size_t)got;
    }
    if (written == log->used) {
        log->size += written;
        log->error = 0;
    } else {
        lose(log, written, errno ? errno : EIO);
    }
    log->used = log->header_used = 0;
}

/* Two digits. */
static char *two(char *to, int number)
{
    *to++ = (char)('0' + number / 10);
    *to++ = (char)('0' + number % 10);
    return to;
}

/* RFC 3339 in UTC. The date is Howard Hinnant's civil_from_days: the C library's own would load the time zone. */
static char *format_second(char *to, time_t second)
{
    int64_t days = second / 86400, rest = second % 86400;
    int64_t z = days + 719468, era = z / 146097, day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_index = (5 * day_of_year + 2) / 153;
    int day = (int)(day_of_year - (153 * month_index + 2) / 5 + 1), month = (int)(month_index + (month_index < 10 ? 3 : -9));
    int year = (int)(year_of_era + era * 400 + (month <= 2));

    to = two(two(to, year / 100), year % 100);
    *to++ = '-';
    to = two(to, month);
    *to++ = '-';
    to = two(to, day);
    *to++ = 'T';
    to = two(to, (int)(rest / 3600));
    *to++ = ':';
    to = two(to, (int)(rest / 60 % 60));
    *to++ = ':';
    return two(to, (int)(rest % 60));
}

static void set_prefix_time(struct log_file *log, struct timespec now)
{
    static const char *const names[] = {"Z stdout ", "Z stderr "};

    for (int stream = 0; stream < 2; stream++) {
        char *prefix = log->prefix[stream];
        if (log->prefix_second != now.tv_sec || !log->prefix_length[stream])
            format_second(prefix, now.tv_sec);
        prefix[SECOND_LENGTH] = '.';
        long fraction = now.tv_nsec;
        for (int i = SECOND_LENGTH + 9; i > SECOND_LENGTH; i--, fraction /= 10)
            prefix[i] = (char)('0' + fraction % 10);
        memcpy(prefix + SECOND_LENGTH + 10, names[stream], STREAM_LENGTH);
        log->prefix_length[stream] = SECOND_LENGTH + 10 + STREAM_LENGTH;
    }
    log->prefix_second = now.tv_sec;
}

static char *put(char *to, const void *from, size_t length)
{
    if (length)
        memcpy(to, from, length);
    return to + length;
}

/* The first record of a file that is not the log's first, without text: which one it is. */
static void put_header(struct log_file *log)
{
    const char *number = decimal(log->sequence);

    char *at = put(log->buffer, log->prefix[LOG_STDOUT], log->prefix_length[LOG_STDOUT]);
    at = put(put(put(at, HEADER_TAG, strlen(HEADER_TAG)), number, strlen(number)), " \n", 2);
    log->used = log->header_used = (size_t)(at - log->buffer);
    log->header_due = false;
}

/* One record: what was kept of the line, and `length` bytes more. */
static void record(struct log_file *log, enum log_stream stream, const char *tag, const uint8_t *data, size_t length)
{
    size_t kept = log->partial[stream].length, tag_length = strlen(tag);
    size_t total = log->prefix_length[stream] + tag_length + 1 + kept + length + 1;

    if (log->max_bytes && log->size + log->used + total > log->max_bytes && log->size + log->used > 0) {
        flush_log(log);
        if (log->file >= 0 && log->size > 0 && rotate(log) < 0)
            log->error = errno;
    }
    if (log->header_due && log->size + log->used == 0)
        put_header(log);
    if (log->used + total > LOG_BUFFER_SIZE)
        flush_log(log);
    char *at = put(log->buffer + log->used, log->prefix[stream], log->prefix_length[stream]);
    at = put(at, tag, tag_length);
    *at++ = ' ';
    at = put(put(at, log->partial[stream].text, kept), data, length);
    *at++ = '\n';
    log->used = (size_t)(at - log->buffer);
    log->partial[stream].length = 0;
}

void append_log(struct log_file *log, enum log_stream stream, const uint8_t *data, size_t length, struct timespec now)
{
    if (log->directory < 0)
        return;
    set_prefix_time(log, now);
    while (length) {
        const uint8_t *newline = memchr(data, '\n', length);
        size_t piece = newline ? (size_t)(newline - data) : length, room = LOG_TEXT_LIMIT - log->partial[stream].length;
        if (piece > room) {
            record(log, stream, "P", data, room);
            data += room;
            length -= room;
            continue;
        }
        if (!newline) {
            memcpy(log->partial[stream].text + log->partial[stream].length, data, piece);
            log->partial[stream].length += piece;
            return;
        }
        record(log, stream, "F", data, piece);
        data += piece + 1;
        length -= piece + 1;
    }
}

void close_log(struct log_file *log, struct timespec now)
{
    if (log->directory < 0)
        return;
    set_prefix_time(log, now);
    for (int stream = 0; stream < 2; stream++)
        if (log->partial[stream].length)
            record(log, (enum log_stream)stream, "P:end", NULL, 0);
    flush_log(log);
    if (log->file >= 0)
        close(log->file);
    log->file = -1;
    free(log->buffer);
    free(log->partial[0].text);
    free(log->partial[1].text);
    log->directory = -1;
}
