/** GET /containers/{id}/top: the host's ps(1) on the container's processes, as Docker does. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ContainerTopResponse } from '@tsd/shared/api-containers';
import { TsdError } from '@tsd/shared/errors';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';

const runFile = promisify(execFile);

const DEFAULT_PS_ARGUMENTS = '-ef';
/** Output of ps for the largest container that one may have; bytes. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/**
 * Lists the container's processes.
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
  const processes = parsePs(output, pids);
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
