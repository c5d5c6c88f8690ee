/** setpriority(2) and sched_setscheduler(2) of one thread: on Linux both are a thread's own. */
import { checked, libc } from './libc.ts';

const PRIO_PROCESS = 0;
const CALLING_THREAD = 0;

const setPriority = libc.func('int setpriority(int which, unsigned int who, int prio)') as (
  which: number,
  who: number,
  niceness: number,
) => number;

const SCHED_OTHER = 0;
const SCHED_RESET_ON_FORK = 0x4000_0000;
const setScheduler = libc.func('int sched_setscheduler(int pid, int policy, const int *priority)') as (
  pid: number,
  policy: number,
  priority: Int32Array,
) => number;

/**
 * Makes the calling thread go before others, with a negative niceness, which what it forks does not inherit: neither
 * containers nor threads.
 *
 * @throws SystemCallError EPERM or EACCES without CAP_SYS_NICE
 */
export function preferThread(niceness: number): void {
  checked('sched_setscheduler', setScheduler(CALLING_THREAD, SCHED_OTHER | SCHED_RESET_ON_FORK, Int32Array.of(0)));
  setThreadNiceness(niceness);
}

/** Makes the calling thread give way to others. A niceness that is lower than the one it has needs a privilege. */
export function setThreadNiceness(niceness: number): void {
  checked('setpriority', setPriority(PRIO_PROCESS, CALLING_THREAD, niceness));
}
