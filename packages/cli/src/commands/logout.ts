import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { readClientConfig } from '../credentials/config-file.ts';
import { createCredentialStore, registryHostname } from '../credentials/credential-store.ts';
import { DOCKER_HUB_SERVER } from '../credentials/registry-auth.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = {
  usage: '[SERVER]',
  minArgs: 0,
  maxArgs: 1,
  flags: [],
  description: 'Defaults to Docker Hub if no server is specified.',
};

export async function run({ env, stdout, stderr }: CommandContext, flags: ParsedFlags): Promise<number> {
  const [server = DOCKER_HUB_SERVER] = flags.args;
  const isHub = server === DOCKER_HUB_SERVER || server === 'docker.io';
  const host = isHub ? DOCKER_HUB_SERVER : registryHostname(server);
  // Older clients kept URLs.
  const addresses = isHub ? [host] : new Set([server, host, `http://${host}`, `https://${host}`]);
  const store = createCredentialStore(env);
  readClientConfig(store.path);
  stdout.write(`Removing login credentials for ${host}\n`);
  const failures = new Map<string, string>();
  let erased = 0;
  for (const address of addresses) {
    try {
      await store.erase(address);
      erased++;
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      failures.set(address, error.message);
    }
  }
  if (erased === 0) {
    stderr.write('WARNING: could not erase credentials:\n');
    for (const [address, message] of failures) stderr.write(`${address}: ${message}\n`);
  }
  return 0;
}
