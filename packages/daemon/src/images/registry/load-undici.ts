import { createRequire } from 'node:module';
import { setImmediate as turn } from 'node:timers/promises';

type Undici = Pick<typeof import('undici'), 'Agent' | 'Pool' | 'ProxyAgent'>;

/** Modules of undici's own, each of which takes some milliseconds with what it needs itself. */
const STEPS = [
  'core/util',
  'core/connect',
  'dispatcher/client-h1',
  'dispatcher/client',
  'dispatcher/pool',
  'api/index',
];

/**
 * Loads the part of undici that registries need: half of it, and bit by bit. All at once it holds up the API for 50 ms. (undici
 * is pinned to one version; its files are no public interface.)
 */
export async function loadUndici(): Promise<Undici> {
  const require = createRequire(import.meta.url);
  const load = (path: string): unknown => require(`undici/lib/${path}.js`);
  for (const step of STEPS) {
    load(step);
    await turn();
  }
  // As undici's index.js does: `request` and the like.
  Object.assign((load('dispatcher/dispatcher') as { prototype: object }).prototype, load('api/index'));
  return {
    Agent: load('dispatcher/agent') as Undici['Agent'],
    Pool: load('dispatcher/pool') as Undici['Pool'],
    ProxyAgent: load('dispatcher/proxy-agent') as Undici['ProxyAgent'],
  };
}
