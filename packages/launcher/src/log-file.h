/* The container's log in CRI format, rotated: PROTOCOL.md, section 5. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { LOG_TEXT_LIMIT = 16384, LOG_BUFFER_SIZE = 65536 };
enum log_stream { LOG_STDOUT = 0, LOG_STDERR = 1 };

struct log_file {
    int directory; /* -1: no log */
    char name[256];
    uint64_t max_bytes;
    uint32_t max_files;

    uint64_t sequence; /* of the file: how many were made before it, 0 for the first */
    bool header_due;   /* the file does not say so yet */

    int file;      /* -1: could not be opened; tried again at the next flush */
    uint64_t size; /* of the file, without the buffer */
    char *buffer;  /* records not written yet */
    size_t used;
    size_t header_used; /* how much of that is the file's header */

    struct {
        char *text; /* the line so far, LOG_TEXT_LIMIT bytes */
        size_t length;
    } partial[2];

    char prefix[2][48]; /* "<time> stdout " */
    size_t prefix_length[2];
    time_t prefix_second;

    uint64_t lost_records;
    int error; /* why records are being lost; 0: they are not */
};

/* Opens `name` in the directory for appending. A record that an earlier supervisor left half-written is cut off. A file that
 * cannot be opened is only noted in `error`. */
void open_log(struct log_file *log, int directory, const char *name, uint64_t max_bytes, uint32_t max_files);

/* Takes output that was read at this time. Nothing is written before flush_log, unless the buffer is full. */
void append_log(struct log_file *log, enum log_stream stream, const uint8_t *data, size_t length, struct timespec now);

void flush_log(struct log_file *log);

/* Ends unfinished lines (tag P:end), flushes, closes. */
void close_log(struct log_file *log, struct timespec now);
