/** Puts the parts of the name server together. */
import { performance } from 'node:perf_hooks';
import { createAnswerCache } from './answer-cache.ts';
import { answerQuery } from './answer-query.ts';
import { type Answerer, type DnsSockets, openDnsSockets } from './dns-sockets.ts';
import { createForwarder } from './forwarder.ts';
import { NAME_SERVER_PORT, type NameServer, type NameServerDeps } from './name-server.ts';
import { createRateLimit } from './rate-limit.ts';
import { createRefusedNames } from './refused-names.ts';
import { createHostServers } from './resolv-conf.ts';

const DNS_PORT = 53;
const CACHE_BYTES = 4 * 1024 * 1024;
/** Of one container. A query costs about 30 µs of the daemon's time: so one takes no more than a small part of it. */
const QUERIES = { perSecond: 2000, burst: 4000 };
/** Of one container, on their way to a server. */
const MAX_PENDING = 64;
const WARNINGS = { perSecond: 1 / 60, burst: 5 };

/** Binds nothing yet; whoever closes it has called `listen`, or not. */
export function createNameServer(deps: NameServerDeps): NameServer {
  const { directory, learn, log, port = NAME_SERVER_PORT, serverPort = DNS_PORT } = deps;
  const now = () => performance.now();
  const hostServers = createHostServers(deps.resolvConfPath ?? '/etc/resolv.conf', now);
  const cache = createAnswerCache({ maxBytes: CACHE_BYTES, now });
  const forwarder = createForwarder({ cache, port: serverPort, now });
  const rateLimit = createRateLimit({ ...QUERIES, now });
  const warnings = createRateLimit({ ...WARNINGS, now });
  const refused = createRefusedNames(now);
  const pending = new Map<string, number>();
  /** By network, then by address. */
  const listening = new Map<string, Map<string, Promise<DnsSockets>>>();

  const warn = (fields: object, message: string): void => {
    if (warnings.take(message)) log.warn(fields, message);
  };

  const answererOf = (networkId: string): Answerer => ({
    knows: (source) => directory.scopeOf(networkId, source) !== null,
    async answer(source, message, maxBytes) {
      // Nobody else is answered: neither the neighbours of the host, nor containers of other networks.
      const scope = directory.scopeOf(networkId, source);
      if (scope === null || !rateLimit.take(scope.containerId)) return null;
      const { containerId } = scope;
      const count = pending.get(containerId) ?? 0;
      if (count >= MAX_PENDING) return null;
      pending.set(containerId, count + 1);
      const onRefused = (name: string) => refused.add(networkId, containerId, name);
      try {
        return await answerQuery(
          { forwarder, hostServers: hostServers.current, learn, onRefused },
          message,
          scope,
          maxBytes,
        );
      } catch (error) {
        warn({ err: error, containerId }, 'a query of a container for a name could not be answered');
        return null;
      } finally {
        const left = (pending.get(containerId) ?? 1) - 1;
        if (left === 0) pending.delete(containerId);
        else pending.set(containerId, left);
      }
    },
  });

  const open = (networkId: string, address: string): Promise<DnsSockets> =>
    openDnsSockets(address, port, answererOf(networkId), (error) =>
      warn({ err: error, networkId }, 'the name server of a network has trouble with its sockets'),
    );

  const stop = async (networkId: string): Promise<void> => {
    const sockets = [...(listening.get(networkId)?.values() ?? [])];
    listening.delete(networkId);
    refused.forget(networkId);
    for (const opened of await Promise.allSettled(sockets))
      if (opened.status === 'fulfilled') await opened.value.close();
  };

  return {
    async listen(networkId, address) {
      const addresses = listening.get(networkId) ?? new Map<string, Promise<DnsSockets>>();
      listening.set(networkId, addresses);
      const opening = addresses.get(address) ?? open(networkId, address);
      addresses.set(address, opening);
      try {
        return { port: (await opening).port };
      } catch (error) {
        addresses.delete(address);
        throw error;
      }
    },
    stop,
    refusedNames: refused.of,
    async close() {
      forwarder.close();
      await Promise.all([...listening.keys()].map(stop));
    },
  };
}
