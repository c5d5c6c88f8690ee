/* System V shared memory for tests: `ipc-probe put KEY TEXT` makes a segment, `ipc-probe get KEY` prints what is in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>

enum { SIZE = 4096 };

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int put = strcmp(argv[1], "put") == 0;
    int id = shmget(atoi(argv[2]), SIZE, put ? IPC_CREAT | IPC_EXCL | 0600 : 0600);
    char *memory = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    if (memory == (char *)-1)
        return perror("ipc-probe"), 1;
    if (put && argc > 3)
        snprintf(memory, SIZE, "%s", argv[3]);
    else
        puts(memory);
    return 0;
}
