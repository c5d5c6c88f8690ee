/* The decoder against test/golden, against every truncation of a plan, and against single changed bytes. */
#include <dirent.h>
#include <stdlib.h>

#include "../src/plan.h"
#include "dump-plan.h"
#include "test.h"

static uint8_t *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(PLAN_LIMIT);

    if (!file || !bytes) {
        perror(path);
        exit(2);
    }
    *length = fread(bytes, 1, PLAN_LIMIT - 1, file);
    bytes[*length] = 0;
    fclose(file);
    return bytes;
}

/* The plan as text, or what is wrong with it. */
static char *decode_to_text(const uint8_t *bytes, size_t length)
{
    struct arena arena = {.size = plan_arena_size(length)};
    struct plan plan;
    struct plan_error error;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    /* exactly as long as it is, so that the sanitizer sees a read past the end */
    uint8_t *exact = malloc(length ? length : 1);

    memcpy(exact, bytes, length);
    arena.start = malloc(arena.size);
    if (decode_plan(exact, length, &arena, &plan, &error) == 0)
        dump_plan(to, &plan);
    else if (error.step == NO_STEP)
        fprintf(to, "plan: %s\n", error.message);
    else
        fprintf(to, "step %u: %s\n", error.step, error.message);
    fclose(to);
    free(arena.start);
    free(exact);
    return text;
}

static void check_golden(const char *directory, const char *name)
{
    char path[512], expected_path[512];
    size_t length, expected_length;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    snprintf(expected_path, sizeof expected_path, "%s/%.*s.txt", directory, (int)(strlen(name) - 5), name);
    uint8_t *bytes = read_file(path, &length), *expected = read_file(expected_path, &expected_length);
    char *text = decode_to_text(bytes, length);
    CHECK_NAMED(strcmp(text, (char *)expected) == 0, name);
    if (strcmp(text, (char *)expected) != 0)
        printf("#   expected: %.2000s\n#   actual:   %.2000s\n", (char *)expected, text);
    free(text);
    free(bytes);
    free(expected);
}

/* No plan but the whole one is a plan. */
static void check_truncations(const char *path)
{
    size_t length, accepted = 0;
    uint8_t *bytes = read_file(path, &length);

    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *shorter = malloc(cut + 16);
        memcpy(shorter, bytes, cut);
        if (cut >= 12)
            for (int i = 0; i < 4; i++)
                shorter[8 + i] = (uint8_t)(cut >> (8 * i));
        char *text = decode_to_text(shorter, cut);
        accepted += strncmp(text, "supervisor", 10) == 0;
        free(text);
        free(shorter);
    }
    CHECK_NAMED(accepted == 0, "no truncated plan is accepted");
    free(bytes);
}

/* Whatever a byte is changed to, the decoder answers (and the sanitizers are content). */
static void check_changed_bytes(const char *path)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    size_t length, answered = 0;
    uint8_t *bytes = read_file(path, &length);

    for (size_t at = 0; at < length && at < 3000; at++)
        for (size_t v = 0; v < sizeof values; v++) {
            uint8_t before = bytes[at];
            bytes[at] = values[v];
            char *text = decode_to_text(bytes, length);
            answered += *text != 0;
            free(text);
            bytes[at] = before;
        }
    CHECK_NAMED(answered == (length < 3000 ? length : 3000) * sizeof values, "every changed plan gets an answer");
    free(bytes);
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : "test/golden";
    char path[512];
    struct dirent **names;
    int count = scandir(directory, &names, NULL, alphasort), plans = 0;

    for (int i = 0; i < count; i++) {
        size_t length = strlen(names[i]->d_name);
        if (length > 5 && strcmp(names[i]->d_name + length - 5, ".plan") == 0) {
            check_golden(directory, names[i]->d_name);
            plans++;
        }
        free(names[i]);
    }
    free(names);
    CHECK_NAMED(plans > 10, "the golden plans are there");
    snprintf(path, sizeof path, "%s/every-step.plan", directory);
    check_truncations(path);
    check_changed_bytes(path);
    return finish_tests();
}
