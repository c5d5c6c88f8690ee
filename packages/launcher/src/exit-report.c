#include "exit-report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "wire.h"

/* CRC-32 (IEEE 802.3), as zlib's crc32. */
static uint32_t checksum(const uint8_t *data, size_t length)
{
    uint32_t crc = ~0U;

    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
    }
    return ~crc;
}

void encode_exit_report(const struct exit_report *report, uint8_t to[EXIT_REPORT_SIZE])
{
    *to++ = report->signalled;
    to = put_u32(to, report->code);
    *to++ = report->oom_killed;
    put_u64(put_u64(to, report->started_ns), report->finished_ns);
}

void encode_exit_file(uint32_t pid, const struct exit_report *report, uint8_t to[EXIT_FILE_SIZE])
{
    memcpy(to, "TSDX", 4);
    put_u32(put_u32(to + 4, 1), pid);
    encode_exit_report(report, to + 12);
    put_u32(to + EXIT_FILE_SIZE - 4, checksum(to, EXIT_FILE_SIZE - 4));
}

/* One journal commit instead of three: the file is synced after the rename, and the journals of ext4, XFS, btrfs and f2fs then
 * hold its name too. If power fails between the two, the checksum tells. */
int write_exit_file(int directory, const char *name, uint32_t pid, const struct exit_report *report)
{
    uint8_t bytes[EXIT_FILE_SIZE];
    char temporary[NAME_MAX + 1];

    encode_exit_file(pid, report, bytes);
    if (join_text(temporary, sizeof temporary, name, ".tmp", NULL) >= NAME_MAX)
        return errno = ENAMETOOLONG, -1;
    int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, bytes, sizeof bytes);
    if (written >= 0 && written != (ssize_t)sizeof bytes)
        errno = ENOSPC;
    int result = written == (ssize_t)sizeof bytes ? 0 : -1;
    if (result == 0)
        result = renameat(directory, temporary, directory, name);
    if (result == 0)
        result = fsync(fd);
    int error = errno;
    close(fd);
    if (result < 0)
        unlinkat(directory, temporary, 0);
    errno = error;
    return result;
}
