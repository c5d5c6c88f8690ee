/** setpriority(2) of one thread: Linux's niceness is a thread's own. */
import { checked, libc } from './libc.ts';

const PRIO_PROCESS = 0;
const CALLING_THREAD = 0;

const setPriority = libc.func('int setpriority(int which, unsigned int who, int prio)') as (
  which: number,
  who: number,
  niceness: number,
) => number;

/** Makes the calling thread give way to others. A niceness that is lower than the one it has needs a privilege. */
export function setThreadNiceness(niceness: number): void {
  checked('setpriority', setPriority(PRIO_PROCESS, CALLING_THREAD, niceness));
}
