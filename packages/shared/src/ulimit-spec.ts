/** `--ulimit` as Docker reads it (github.com/docker/go-units, ulimit.go). */
import { TsdError } from './errors.ts';

/** One entry of HostConfig.Ulimits; -1 is unlimited. */
export interface Ulimit {
  Name: string;
  Soft: number;
  Hard: number;
}

/** Names of setrlimit(2)'s resources and their numbers on Linux. */
export const RLIMIT_NUMBERS: Readonly<Record<string, number>> = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
};

/** Parses `name=soft[:hard]`; hard defaults to soft, -1 is unlimited. Throws bad_parameter with Docker's texts. */
export function parseUlimit(text: string): Ulimit {
  const equals = text.indexOf('=');
  if (equals === -1) throw new TsdError('bad_parameter', `invalid ulimit argument: ${text}`);
  const name = text.slice(0, equals);
  if (!Object.hasOwn(RLIMIT_NUMBERS, name)) throw new TsdError('bad_parameter', `invalid ulimit type: ${name}`);
  const limits = text.slice(equals + 1).split(':');
  if (limits.length > 2) {
    throw new TsdError(
      'bad_parameter',
      `too many limit value arguments - ${limits.join(':')}, can only have up to two, \`soft[:hard]\``,
    );
  }
  const [softText = '', hardText] = limits;
  const soft = parseLimit(softText, text);
  const hard = hardText === undefined ? soft : parseLimit(hardText, text);
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw new TsdError(
      'bad_parameter',
      `ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`,
    );
  }
  return { Name: name, Soft: soft, Hard: hard };
}

function parseLimit(text: string, whole: string): number {
  const value = Number(text);
  if (!/^(-1|[0-9]+)$/.test(text) || !Number.isSafeInteger(value)) {
    throw new TsdError('bad_parameter', `invalid ulimit value '${text}' in '${whole}' (a number, or -1 for unlimited)`);
  }
  return value;
}
