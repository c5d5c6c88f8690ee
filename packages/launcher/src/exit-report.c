#include "exit-report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

/* Under its own name at once, since nobody looks for it while the control socket is there, and the checksum tells where power failed
 * in the middle: one journal commit, which holds the new file's name too (ext4, XFS, btrfs, f2fs). */
int write_exit_file(int directory, const char *name, uint32_t pid, const struct exit_report *report)
{
    uint8_t bytes[EXIT_FILE_SIZE];

    encode_exit_file(pid, report, bytes);
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, bytes, sizeof bytes);
    if (written >= 0 && written != (ssize_t)sizeof bytes)
        errno = ENOSPC;
    int result = written == (ssize_t)sizeof bytes ? fsync(fd) : -1;
    int error = errno;
    close(fd);
    if (result < 0)
        unlinkat(directory, name, 0);
    errno = error;
    return result;
}
