/** A failed launch, and what the user is told about it. */
import { getSystemErrorMessage } from 'node:util';
import { TsdError } from '@tsd/shared/errors';
import { errnoName } from '../os/libc.ts';
import type { LaunchPlan, Step } from './launch-plan.ts';

/** A step of the plan that the kernel refused. */
export interface StepFailure {
  /** Index into the plan's steps; null where it was none of them. */
  readonly step: number | null;
  readonly errno: number;
  readonly errnoName: string;
  /** Path or object of the step. */
  readonly detail: string;
}

export class LaunchError extends Error implements StepFailure {
  override readonly name = 'LaunchError';
  readonly step: number | null;
  readonly errno: number;
  readonly errnoName: string;
  readonly detail: string;
  /** The exit code that Docker gives a container that could not be started: 126, 127 or 128. */
  readonly exitCode: number;

  constructor(
    plan: LaunchPlan,
    failure: { readonly step: number | null; readonly errno: number; readonly detail: string },
  ) {
    const step = failure.step === null ? undefined : plan.steps[failure.step];
    const { text, exitCode } = describe(plan, step, failure.errno, failure.detail);
    super(text);
    this.step = failure.step;
    this.errno = failure.errno;
    this.errnoName = errnoName(failure.errno);
    this.detail = failure.detail;
    this.exitCode = exitCode;
  }

  /** As an answer to the start request: Docker's text, 400 where the image or the command is at fault. */
  toUserError(): TsdError {
    const code = this.exitCode === 126 || this.exitCode === 127 ? 'bad_parameter' : 'internal';
    return new TsdError(
      code,
      `failed to create task for container: failed to create shim task: OCI runtime create failed: ${this.message}: unknown`,
      { cause: this },
    );
  }
}

/** The C library's words, without a capital and a full stop, as Go and so Docker print them. */
function errorText(errno: number): string {
  return getSystemErrorMessage(-errno).toLowerCase();
}

const START = 'unable to start container process: error during container init:';

/** `exec: "x": …`: the client derives its exit code from these words (docker/cli, toStatusError). */
function describeExec(command: string, errno: number, detail: string): { text: string; exitCode: number } {
  switch (errnoName(errno)) {
    case 'ENOENT':
    case 'ENOTDIR':
      if (!command.includes('/') && (detail === '' || detail === command)) {
        return { text: `${START} exec: "${command}": executable file not found in $PATH`, exitCode: 127 };
      }
      return {
        text: `${START} exec: "${command}": stat ${detail || command}: no such file or directory`,
        exitCode: 127,
      };
    case 'EACCES':
    case 'EPERM':
      return { text: `${START} exec: "${command}": permission denied`, exitCode: 126 };
    case 'EISDIR':
      return { text: `${START} exec: "${command}": is a directory`, exitCode: 126 };
    case 'ENOEXEC':
      return { text: `${START} exec ${detail || command}: exec format error`, exitCode: 128 };
    default:
      return { text: `${START} exec: "${command}": ${errorText(errno)}`, exitCode: 128 };
  }
}

/** The mount that an attach-mount step places, told by the step that filled its slot. */
function mountSource(plan: LaunchPlan, slot: number): string {
  const maker = plan.steps.find((step) => (step.op === 'clone-tree' || step.op === 'new-mount') && step.slot === slot);
  if (maker?.op === 'clone-tree') return maker.at.path;
  return maker?.op === 'new-mount' ? maker.fsType : '';
}

function describe(
  plan: LaunchPlan,
  step: Step | undefined,
  errno: number,
  detail: string,
): { text: string; exitCode: number } {
  const code = errnoName(errno);
  // Errno names instead of the C library's words: "no such file or directory" would make the client exit with 127.
  if (step === undefined)
    return { text: `launch failed: ${detail === '' ? code : `${detail}: ${code}`}`, exitCode: 128 };
  switch (step.op) {
    case 'exec':
      return describeExec(step.argv[0] ?? '', errno, detail);
    case 'mkdir':
      // The only directory that the container's side makes is the working directory.
      if (step.side !== 'container') break;
      return {
        text: `${START} chdir to cwd ("${step.at.path}") set in config.json failed: ${errorText(errno)}`,
        exitCode: 128,
      };
    case 'change-directory':
      return {
        text: `${START} chdir to cwd ("${step.path}") set in config.json failed: ${errorText(errno)}`,
        exitCode: code === 'ENOENT' ? 127 : code === 'EACCES' ? 126 : 128,
      };
    case 'attach-mount': {
      const mismatch =
        code === 'ENOTDIR' || code === 'EISDIR'
          ? `${errorText(errno)}: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type`
          : code;
      return {
        text: `${START} error mounting "${mountSource(plan, step.slot)}" to rootfs at "${step.at.path}": ${mismatch}`,
        exitCode: 128,
      };
    }
    case 'write-file':
      if (step.at.path.startsWith('sys/')) {
        const name = step.at.path.slice('sys/'.length).replaceAll('/', '.');
        return { text: `${START} write sysctl key ${name}: ${code}`, exitCode: 128 };
      }
      break;
    case 'clone':
      if (step.namespaces.includes('user') && (code === 'ENOSPC' || code === 'EPERM' || code === 'EUSERS')) {
        return {
          text: `${START} clone: ${code}: this host allows no more user namespaces (see sysctl user.max_user_namespaces); --userns=host runs without one`,
          exitCode: 128,
        };
      }
      break;
    case 'netlink':
      return {
        text: `${START} cannot set up the network: ${detail === '' ? code : `${detail} (${code})`}`,
        exitCode: 128,
      };
    case 'clone-tree':
      return { text: `${START} bind source ${step.at.path}: ${code}`, exitCode: 128 };
  }
  return { text: `${START} ${step.op}${detail === '' ? '' : ` ${detail}`}: ${code}`, exitCode: 128 };
}
