import type { RegistryClientSettings } from './registry-client.ts';
import type { RegistryClient } from './remote-repository.ts';

/** The registry client, made and its HTTP library loaded by whoever first needs it: most daemons idle without. */
export interface LazyRegistryClient {
  (): Promise<RegistryClient>;
  /** Ends idle connections; later uses fail. */
  close(): Promise<void>;
}

export function lazyRegistryClient(settings: RegistryClientSettings): LazyRegistryClient {
  let client: Promise<RegistryClient> | null = null;
  const get = (): Promise<RegistryClient> => {
    client ??= import('./registry-client.ts').then(({ createRegistryClient }) => createRegistryClient(settings));
    return client;
  };
  return Object.assign(get, {
    close: async (): Promise<void> => {
      if (client !== null) await (await client).close();
    },
  });
}
