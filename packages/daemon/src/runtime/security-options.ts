/** `--security-opt`, as the API carries it in HostConfig.SecurityOpt (moby daemon, parseSecurityOpt). */
import { TsdError } from '@tsd/shared/errors';

export interface SecurityOptions {
  readonly noNewPrivileges: boolean;
  /** JSON text of a profile, `unconfined`, or null for the default. */
  readonly seccomp: string | null;
  /** Profile name, `unconfined`, or null for the default. */
  readonly appArmor: string | null;
  /** SELinux `label=…` values. */
  readonly labels: readonly string[];
  /** Neither masked nor read-only paths. */
  readonly systemPathsUnconfined: boolean;
}

/** @throws TsdError for an option that Docker does not know. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  let noNewPrivileges = false;
  let seccomp: string | null = null;
  let appArmor: string | null = null;
  let systemPathsUnconfined = false;
  const labels: string[] = [];
  for (const option of options) {
    if (option === 'no-new-privileges') {
      noNewPrivileges = true;
      continue;
    }
    // `key=value`, or `key:value` as old clients wrote it.
    const separator = option.includes('=') ? '=' : ':';
    const at = option.indexOf(separator);
    const key = option.slice(0, Math.max(at, 0));
    const value = option.slice(at + 1);
    switch (key) {
      case 'no-new-privileges':
        if (value !== 'true' && value !== 'false' && value !== '1' && value !== '0') {
          throw new TsdError('bad_parameter', `invalid --security-opt: "${option}" (write true or false)`);
        }
        noNewPrivileges = value === 'true' || value === '1';
        break;
      case 'seccomp':
        seccomp = value === 'builtin' ? null : value;
        break;
      case 'apparmor':
        appArmor = value;
        break;
      case 'label':
        labels.push(value);
        break;
      case 'systempaths':
        if (value !== 'unconfined') throw new TsdError('bad_parameter', `invalid --security-opt: "${option}"`);
        systemPathsUnconfined = true;
        break;
      default:
        throw new TsdError('bad_parameter', `invalid --security-opt: "${option}"`);
    }
  }
  return { noNewPrivileges, seccomp, appArmor, labels, systemPathsUnconfined };
}
