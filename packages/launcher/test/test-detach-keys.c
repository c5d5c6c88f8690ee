/* Detach keys in input that is cut anywhere. */
#include "../src/detach-keys.h"
#include "test.h"

/* Feeds the input in pieces; what passes goes to `out`. Returns whether the sequence was found. */
static bool feed(const char *keys, const char *input, size_t piece, char *out)
{
    struct detach_keys state = {.count = strlen(keys)};
    uint8_t passed[256];
    size_t length, total = 0;

    memcpy(state.keys, keys, state.count);
    out[0] = 0;
    for (size_t at = 0; at < strlen(input); at += piece) {
        size_t count = strlen(input) - at < piece ? strlen(input) - at : piece;
        bool found = filter_detach_keys(&state, (const uint8_t *)input + at, count, passed, &length);
        memcpy(out + total, passed, length);
        total += length;
        out[total] = 0;
        if (found)
            return true;
    }
    return false;
}

int main(void)
{
    static const struct {
        const char *keys, *input, *passes;
        bool found;
    } cases[] = {
        {"", "abc", "abc", false},
        {"\x10\x11", "abc", "abc", false},
        {"\x10\x11", "ab\x10\x11" "c", "ab", true},
        {"\x10\x11", "\x10\x10\x11", "\x10", true},
        {"\x10\x11", "\x10x\x11", "\x10x\x11", false},
        {"aab", "aaab", "a", true},
        {"aab", "aacaab", "aac", true},
        {"abab", "abaabab", "aba", true},
        {"abcabd", "abcabcabd", "abc", true},
        {"a", "xa", "x", true},
        {"aab", "xaa", "x", false}, /* held back until it is decided */
    };
    char out[512];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece <= 9; piece++) {
            CHECK(feed(cases[i].keys, cases[i].input, piece, out) == cases[i].found);
            CHECK_TEXT(out, cases[i].passes);
        }
    return finish_tests();
}
