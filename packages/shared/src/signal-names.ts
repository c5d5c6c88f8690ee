/** Signals by name and number, signal(7): the numbers of x86-64 and arm64. */
import { TsdError } from './errors.ts';

const NUMBERS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  IOT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  POLL: 29,
  PWR: 30,
  SYS: 31,
};
/** The first real-time signal that the C library leaves to programs. */
const RTMIN = 34;
const RTMAX = 64;
const NAMES = new Map<number, string>();
for (const [name, number] of Object.entries(NUMBERS)) if (!NAMES.has(number)) NAMES.set(number, name);

/** The number of `TERM`, `SIGTERM`, `15`, `RTMIN+3` or `SIGRTMAX-1`. Throws bad_parameter with Docker's text. */
export function parseSignal(text: string): number {
  const signal = lookUp(text);
  if (signal === null) throw new TsdError('bad_parameter', `invalid signal: ${text}`);
  return signal;
}

/** `SIGTERM` for 15, `SIGRTMIN+1` for 35; `signal N` where there is no name. */
export function signalName(signal: number): string {
  const name = NAMES.get(signal);
  if (name !== undefined) return `SIG${name}`;
  if (signal < RTMIN || signal > RTMAX) return `signal ${signal}`;
  return signal === RTMIN ? 'SIGRTMIN' : `SIGRTMIN+${signal - RTMIN}`;
}

function lookUp(text: string): number | null {
  if (/^[0-9]{1,3}$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= RTMAX ? number : null;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  if (Object.hasOwn(NUMBERS, name)) return NUMBERS[name] ?? null;
  const realTime = /^RT(MIN|MAX)(?:([+-])([0-9]{1,2}))?$/.exec(name);
  if (realTime === null) return null;
  const [, base, sign, offsetText] = realTime;
  const offset = offsetText === undefined ? 0 : Number(offsetText) * (sign === '-' ? -1 : 1);
  const number = (base === 'MIN' ? RTMIN : RTMAX) + offset;
  return number >= RTMIN && number <= RTMAX ? number : null;
}
