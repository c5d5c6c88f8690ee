#include "../src/oom-counter.h"
#include "test.h"

int main(void)
{
    CHECK(parse_oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n") == 3); /* v1 memory.oom_control */
    CHECK(parse_oom_kills("low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n") == 1); /* v2 memory.events */
    CHECK(parse_oom_kills("oom_kill 12") == 12);
    CHECK(parse_oom_kills("oom_kill_disable 5\n") == 0);
    CHECK(parse_oom_kills("") == 0);
    return finish_tests();
}
