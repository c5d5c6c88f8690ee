/** GET /containers/{id}/top: the host's ps(1) on the container's processes, as Docker does. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { ContainerTopResponse } from '@tsd/shared/api-containers';
import { TsdError } from '@tsd/shared/errors';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { ID_RANGE_SIZE } from './id-ranges.ts';

const runFile = promisify(execFile);

const DEFAULT_PS_ARGUMENTS = '-ef';
/** Output of ps for the largest container that one may have; bytes. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/**
 * Lists the container's processes.
 *
 * In a user namespace owners are shown as the container numbers them, 0 as root: what ps says of the host's ids is cut off. (dockerd
 * shows the host's names.)
 *
 * @param psArguments as ps(1) takes them, separated by blanks; `-ef` by default
 * @throws TsdError `not_found`, `conflict` when it is not running, `bad_parameter` for arguments that ps refuses or whose
 *   output has no PID column
 */
export async function topContainer(
  deps: Pick<ContainerDeps, 'cgroups' | 'events' | 'running' | 'store'>,
  reference: string,
  psArguments: string | undefined,
): Promise<ContainerTopResponse> {
  const args = (psArguments || DEFAULT_PS_ARGUMENTS).split(/\s+/).filter(Boolean);
  checkArguments(args);
  const record = deps.store.lookup(reference);
  const { id } = record;
  const { supervisor } = deps.running.require(id);
  const pids = new Set(deps.cgroups.processes(id));
  // Without cgroups on the host there is still the first process.
  if (pids.size === 0) pids.add(supervisor.pid);
  // procps selects by -q; another ps does not know it and lists everything, which is filtered here.
  const output = (await tryPs([...args, '-q', [...pids].join(',')])) ?? (await requirePs(args));
  const { Titles, Processes } = parsePs(output, pids);
  const processes = { Titles, Processes: withContainerIds(Titles, Processes, record.idRange) };
  publishContainerEvent(deps, record, 'top');
  return processes;
}

/**
 * Picks the rows of these processes out of ps's table. Threads' rows (`-` as pid) belong to the process before them.
 *
 * @throws TsdError `bad_parameter` where there is no PID column
 */
export function parsePs(output: string, pids: ReadonlySet<number>): ContainerTopResponse {
  const lines = output.split('\n').filter((line) => line !== '');
  const titles = (lines[0] ?? '').trim().split(/\s+/);
  const pidColumn = titles.indexOf('PID');
  if (pidColumn === -1) throw new TsdError('bad_parameter', "Couldn't find PID field in ps output");
  const rows: string[][] = [];
  let selected = false;
  for (const line of lines.slice(1)) {
    const fields = line.trim().split(/\s+/);
    const pid = fields[pidColumn];
    if (pid !== '-') selected = pids.has(Number(pid));
    if (!selected) continue;
    // The last column, the command, may hold blanks.
    rows.push([...fields.slice(0, titles.length - 1), fields.slice(titles.length - 1).join(' ')]);
  }
  return { Titles: titles, Processes: rows };
}

/** Columns of ps(1) that tell owners, with the position of the number in the line of /proc/PID/status (proc_pid_status(5)). */
const OWNER_COLUMNS = new Map<string, readonly [line: 'Uid' | 'Gid', position: number]>([
  ...['UID', 'USER', 'EUID', 'EUSER'].map((title) => [title, ['Uid', 1]] as const),
  ...['RUID', 'RUSER'].map((title) => [title, ['Uid', 0]] as const),
  ...['GID', 'GROUP', 'EGID', 'EGROUP'].map((title) => [title, ['Gid', 1]] as const),
  ...['RGID', 'RGROUP'].map((title) => [title, ['Gid', 0]] as const),
]);

/** Whose processes these are, in the container's own numbers. Exported for tests. @param statusOf reads /proc/PID/status */
export function withContainerIds(
  titles: readonly string[],
  rows: readonly string[][],
  idRange: number | null,
  statusOf: (pid: string) => string = readStatus,
): string[][] {
  if (idRange === null) return [...rows];
  let status = '';
  return rows.map((row) => {
    const pid = row[titles.indexOf('PID')] ?? '-';
    // Rows of threads belong to the process before them.
    if (pid !== '-') status = statusOf(pid);
    return row.map((shown, column) => {
      const owner = OWNER_COLUMNS.get(titles[column] ?? '');
      if (owner === undefined) return shown;
      const [line, position] = owner;
      const ids = new RegExp(`^${line}:\\s+(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/) ?? [];
      const id = Number(ids[position]) - idRange;
      if (!(id >= 0 && id < ID_RANGE_SIZE)) return shown;
      return id === 0 && !/^\d+$/.test(shown) ? 'root' : String(id);
    });
  });
}

/** Empty for a process that has ended. */
function readStatus(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

/** The PID column must keep its title, and no argument may make ps select other processes or read files. */
function checkArguments(args: readonly string[]): void {
  for (const arg of args) {
    if (/\bpid\s*=/.test(arg)) {
      throw new TsdError('bad_parameter', `specifying "${arg}" is not allowed: the PID column needs its title`);
    }
  }
}

async function tryPs(args: readonly string[]): Promise<string | null> {
  try {
    return await ps(args);
  } catch {
    // Refused with -q: the plain call says whether it was that or the user's arguments.
    return null;
  }
}

async function requirePs(args: readonly string[]): Promise<string> {
  try {
    return await ps(args);
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    throw new TsdError('bad_parameter', `ps: ${stderr.split('\n')[0] ?? ''}`, { cause: error });
  }
}

async function ps(args: readonly string[]): Promise<string> {
  const { stdout } = await runFile('ps', args, {
    maxBuffer: MAX_OUTPUT_BYTES,
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  });
  return stdout;
}
