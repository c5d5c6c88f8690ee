/* The log: format, partial lines, rotation, a full disk, a half record of an earlier life. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/log-file.h"
#include "test.h"

static char directory_path[] = "/tmp/tsd-log-test-XXXXXX";
static int directory;
static const struct timespec noon = {.tv_sec = 1795435200, .tv_nsec = 1}; /* 2026-11-23T12:00:00Z */
#define AT_NOON "2026-11-23T12:00:00.000000001Z "
#define HEADER(number) AT_NOON "stdout P:file-" number " \n"

static const char *contents(const char *name)
{
    static char text[1 << 20];
    int fd = openat(directory, name, O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    if (length < 0)
        return "missing";
    text[length] = 0;
    return text;
}

static void put(struct log_file *log, enum log_stream stream, const char *text)
{
    append_log(log, stream, (const uint8_t *)text, strlen(text), noon);
}

static void check_format(void)
{
    struct log_file log;

    open_log(&log, directory, "format", 0, 1);
    put(&log, LOG_STDOUT, "one\ntwo\n\nhal");
    put(&log, LOG_STDERR, "error\n");
    put(&log, LOG_STDOUT, "f\nend");
    CHECK_TEXT(contents("format"), "");
    flush_log(&log);
    CHECK_TEXT(contents("format"), AT_NOON "stdout F one\n" AT_NOON "stdout F two\n" AT_NOON "stdout F \n" AT_NOON
                                           "stderr F error\n" AT_NOON "stdout F half\n");
    close_log(&log, noon);
    CHECK_TEXT(strstr(contents("format"), "half\n"), "half\n" AT_NOON "stdout P:end end\n");
}

/* An unfinished line is ended with the run: the next one's first line does not go on with it. */
static void check_ends(void)
{
    struct log_file log;

    for (int run = 0; run < 2; run++) {
        open_log(&log, directory, "ends", 0, 1);
        put(&log, LOG_STDOUT, "abc");
        put(&log, LOG_STDERR, run ? "x" : "y\n");
        close_log(&log, noon);
    }
    CHECK_TEXT(contents("ends"), AT_NOON "stderr F y\n" AT_NOON "stdout P:end abc\n" AT_NOON "stdout P:end abc\n" AT_NOON
                                         "stderr P:end x\n");
}

static void check_times(void)
{
    static const struct { time_t second; const char *text; } cases[] = {
        {0, "1970-01-01T00:00:00.000000000Z"},          {951782399, "2000-02-28T23:59:59.000000000Z"},
        {951782400, "2000-02-29T00:00:00.000000000Z"},  {4107542399, "2100-02-28T23:59:59.000000000Z"},
        {4107542400, "2100-03-01T00:00:00.000000000Z"}, {1798761599, "2026-12-31T23:59:59.000000000Z"},
    };
    struct log_file log;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_log(&log, directory, "times", 0, 1);
        append_log(&log, LOG_STDOUT, (const uint8_t *)"\n", 1, (struct timespec){.tv_sec = cases[i].second});
        close_log(&log, noon);
        CHECK(strncmp(contents("times"), cases[i].text, strlen(cases[i].text)) == 0);
        unlinkat(directory, "times", 0);
    }
}

static void check_long_lines(void)
{
    struct log_file log;
    static char line[3 * LOG_TEXT_LIMIT + 2];
    const size_t record = strlen(AT_NOON "stdout P ") + LOG_TEXT_LIMIT + 1;

    memset(line, 'x', sizeof line - 1);
    open_log(&log, directory, "long", 0, 1);
    line[LOG_TEXT_LIMIT] = '\n'; /* just fits */
    append_log(&log, LOG_STDOUT, (const uint8_t *)line, LOG_TEXT_LIMIT + 1, noon);
    line[LOG_TEXT_LIMIT] = 'x';
    for (size_t i = 0; i < sizeof line - 1; i += 1000) /* in small pieces */
        append_log(&log, LOG_STDOUT, (const uint8_t *)line + i, sizeof line - 1 - i < 1000 ? sizeof line - 1 - i : 1000, noon);
    put(&log, LOG_STDOUT, "\n");
    close_log(&log, noon);
    const char *text = contents("long");
    CHECK(strncmp(text, AT_NOON "stdout F xxx", strlen(AT_NOON) + 12) == 0);
    CHECK(strncmp(text + record, AT_NOON "stdout P xxx", strlen(AT_NOON) + 12) == 0);
    CHECK(strncmp(text + 2 * record, AT_NOON "stdout P xxx", strlen(AT_NOON) + 12) == 0);
    CHECK(strncmp(text + 3 * record, AT_NOON "stdout P xxx", strlen(AT_NOON) + 12) == 0);
    CHECK_TEXT(text + 4 * record, AT_NOON "stdout F x\n");
}

static void check_rotation(void)
{
    struct log_file log;
    const size_t record = strlen(AT_NOON "stdout F 1\n"), header = strlen(HEADER("1"));

    open_log(&log, directory, "rotated", header + 2 * record, 3);
    put(&log, LOG_STDOUT, "0\n1\n2\n3\n4\n5\n6\n7\n");
    CHECK(log.sequence == 3);
    close_log(&log, noon);
    CHECK_TEXT(contents("rotated"), HEADER("3") AT_NOON "stdout F 7\n");
    CHECK_TEXT(contents("rotated.1"), HEADER("2") AT_NOON "stdout F 5\n" AT_NOON "stdout F 6\n");
    CHECK_TEXT(contents("rotated.2"), HEADER("1") AT_NOON "stdout F 3\n" AT_NOON "stdout F 4\n");
    CHECK_TEXT(contents("rotated.3"), "missing");
    open_log(&log, directory, "rotated", header + 2 * record, 3); /* a second life goes on where the first ended */
    CHECK(log.sequence == 3);
    put(&log, LOG_STDOUT, "8\n9\n");
    close_log(&log, noon);
    CHECK_TEXT(contents("rotated"), HEADER("4") AT_NOON "stdout F 9\n");
    CHECK_TEXT(contents("rotated.1"), HEADER("3") AT_NOON "stdout F 7\n" AT_NOON "stdout F 8\n");
    unlinkat(directory, "rotated", 0); /* as if the first had ended in the middle of a rotation */
    open_log(&log, directory, "rotated", header + 2 * record, 3);
    put(&log, LOG_STDOUT, "10\n");
    close_log(&log, noon);
    CHECK_TEXT(contents("rotated"), HEADER("4") AT_NOON "stdout F 10\n");

    open_log(&log, directory, "single", 2 * record, 1);
    put(&log, LOG_STDOUT, "1\n2\n");
    flush_log(&log);
    int reader = openat(directory, "single", O_RDONLY);
    put(&log, LOG_STDOUT, "3\n");
    close_log(&log, noon);
    CHECK_TEXT(contents("single"), HEADER("1") AT_NOON "stdout F 3\n");
    CHECK_TEXT(contents("single.1"), "missing");
    static char text[200];
    CHECK(read(reader, text, sizeof text - 1) == (ssize_t)(2 * record)); /* a reader finishes what it has open */
    CHECK_TEXT(text, AT_NOON "stdout F 1\n" AT_NOON "stdout F 2\n");
    close(reader);

    open_log(&log, directory, "tiny", 1, 2); /* smaller than a record: one a file */
    put(&log, LOG_STDOUT, "1\n2\n3\n");
    close_log(&log, noon);
    CHECK_TEXT(contents("tiny"), HEADER("2") AT_NOON "stdout F 3\n");
    CHECK_TEXT(contents("tiny.1"), HEADER("1") AT_NOON "stdout F 2\n");
}

static void check_half_record(void)
{
    struct log_file log;
    int fd = openat(directory, "half", O_WRONLY | O_CREAT, 0600);

    CHECK(write(fd, AT_NOON "stdout F whole\n" AT_NOON "stdout F ha", 2 * strlen(AT_NOON) + 26) > 0);
    close(fd);
    open_log(&log, directory, "half", 0, 1);
    put(&log, LOG_STDOUT, "next\n");
    close_log(&log, noon);
    CHECK_TEXT(contents("half"), AT_NOON "stdout F whole\n" AT_NOON "stdout F next\n");
}

/* RLIMIT_FSIZE stands in for a full disk: EFBIG in the middle of a write. */
static void check_full_disk(void)
{
    struct log_file log;
    struct rlimit limit, before;
    const size_t record = strlen(AT_NOON "stdout F 1\n");

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    open_log(&log, directory, "full", 0, 1);
    put(&log, LOG_STDOUT, "1\n");
    flush_log(&log);
    limit = (struct rlimit){.rlim_cur = 2 * record + 5, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    put(&log, LOG_STDOUT, "2\n3\n4\n");
    flush_log(&log);
    CHECK(log.error == EFBIG);
    CHECK(log.lost_records == 2);
    CHECK_TEXT(contents("full"), AT_NOON "stdout F 1\n" AT_NOON "stdout F 2\n");
    setrlimit(RLIMIT_FSIZE, &before);
    put(&log, LOG_STDOUT, "5\n");
    flush_log(&log);
    CHECK(log.error == 0);
    close_log(&log, noon);
    CHECK_TEXT(contents("full"), AT_NOON "stdout F 1\n" AT_NOON "stdout F 2\n" AT_NOON "stdout F 5\n");
}

/* A header that does not reach the disk is no record that was lost, and is made up for. */
static void check_lost_header(void)
{
    struct log_file log;
    struct rlimit limit, before;
    const size_t record = strlen(AT_NOON "stdout F 1\n");

    getrlimit(RLIMIT_FSIZE, &before);
    open_log(&log, directory, "lost", record, 2);
    put(&log, LOG_STDOUT, "1\n2\n");
    limit = (struct rlimit){.rlim_cur = 1, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    flush_log(&log);
    CHECK(log.error == EFBIG);
    CHECK(log.lost_records == 1);
    setrlimit(RLIMIT_FSIZE, &before);
    put(&log, LOG_STDOUT, "3\n");
    close_log(&log, noon);
    CHECK_TEXT(contents("lost"), HEADER("1") AT_NOON "stdout F 3\n");
}

/* A symlink at the log's name is not followed; the process goes on without a log. */
static void check_hostile_name(void)
{
    struct log_file log;

    CHECK(symlinkat("elsewhere", directory, "link") == 0);
    open_log(&log, directory, "link", 0, 1);
    CHECK(log.error == ELOOP);
    put(&log, LOG_STDOUT, "1\n");
    flush_log(&log);
    CHECK(log.lost_records == 1);
    close_log(&log, noon);
    CHECK_TEXT(contents("elsewhere"), "missing");
}

int main(void)
{
    char command[64];

    if (!mkdtemp(directory_path))
        return 2;
    directory = open(directory_path, O_RDONLY | O_DIRECTORY);
    check_format();
    check_ends();
    check_times();
    check_long_lines();
    check_rotation();
    check_half_record();
    check_full_disk();
    check_lost_header();
    check_hostile_name();
    snprintf(command, sizeof command, "rm -r %s", directory_path);
    return system(command) == 0 ? finish_tests() : 2;
}
