/** `--restart` as Docker reads it (cli, opts ParseRestartPolicy; moby, validateRestartPolicy). */
import { TsdError } from './errors.ts';

export type RestartPolicyName = '' | 'no' | 'always' | 'unless-stopped' | 'on-failure';

/** HostConfig.RestartPolicy, with Docker's field names. */
export interface RestartPolicy {
  Name: RestartPolicyName;
  MaximumRetryCount: number;
}

const NAMES: ReadonlySet<string> = new Set(['', 'no', 'always', 'unless-stopped', 'on-failure']);

/** Parses `no`, `always`, `unless-stopped` or `on-failure[:max-retries]`. Throws bad_parameter with Docker's texts. */
export function parseRestartPolicy(text: string): RestartPolicy {
  const colon = text.indexOf(':');
  const name = colon === -1 ? text : text.slice(0, colon);
  const countText = colon === -1 ? '' : text.slice(colon + 1);
  if (colon !== -1 && name === '')
    throw new TsdError('bad_parameter', 'invalid restart policy format: no policy provided before colon');
  if (countText !== '' && !/^-?[0-9]{1,9}$/.test(countText)) {
    throw new TsdError('bad_parameter', 'invalid restart policy format: maximum retry count must be an integer');
  }
  return checkRestartPolicy({ Name: name, MaximumRetryCount: Number(countText) });
}

/** Checks a policy that came over the API. Throws bad_parameter with moby's texts. */
export function checkRestartPolicy(policy: { Name: string; MaximumRetryCount: number }): RestartPolicy {
  const { Name, MaximumRetryCount } = policy;
  if (!NAMES.has(Name)) {
    throw new TsdError(
      'bad_parameter',
      `invalid restart policy: unknown policy '${Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  if (Name === 'on-failure') {
    if (MaximumRetryCount < 0)
      throw new TsdError('bad_parameter', 'invalid restart policy: maximum retry count cannot be negative');
  } else if (MaximumRetryCount !== 0) {
    throw new TsdError(
      'bad_parameter',
      "invalid restart policy: maximum retry count can only be used with 'on-failure'" +
        (MaximumRetryCount < 0 ? ' and cannot be negative' : ''),
    );
  }
  return { Name: Name as RestartPolicyName, MaximumRetryCount };
}
