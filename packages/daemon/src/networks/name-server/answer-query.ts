/** From a container's message to the one that answers it. */
import { isIP } from 'node:net';
import { namesHost } from '../egress-rule.ts';
import type { LearntAnswer } from '../firewall.ts';
import { CLASS_IN, type DnsQuery, errorReply, parseQuery, RCODE, replyFrom, TYPE } from './dns-message.ts';
import type { Forwarder } from './forwarder.ts';
import { localAnswer } from './local-answer.ts';
import type { NameScope } from './name-directory.ts';

export interface AnswerDeps {
  readonly forwarder: Forwarder;
  /** The host's servers. */
  readonly hostServers: () => readonly string[];
  readonly learn: (answer: LearntAnswer) => Promise<void>;
  readonly onRefused: (name: string) => void;
}

/**
 * The answer, or null for what gets none. `maxBytes` says how many bytes the transport takes for the answer to a query.
 */
export async function answerQuery(
  deps: AnswerDeps,
  message: Buffer,
  scope: NameScope,
  maxBytes: (query: DnsQuery) => number,
): Promise<Buffer | null> {
  const parsed = parseQuery(message);
  if (parsed === null) return null;
  if ('refusal' in parsed) return parsed.refusal;
  const { query } = parsed;
  if (query.type === TYPE.axfr || query.type === TYPE.ixfr) return errorReply(query, RCODE.notImplemented);
  // Other classes ask about servers.
  if (query.class !== CLASS_IN) return errorReply(query, RCODE.refused);
  const local = localAnswer(query, scope, maxBytes(query));
  if (local !== null) return local;

  const outward = scope.endpoints.filter(({ internal }) => !internal);
  const permitted = outward.some(({ egress }) => egress?.some((rule) => namesHost(rule, query.name)) ?? true);
  if (!permitted) {
    if (outward.length > 0) deps.onRefused(query.name);
    // "No such name" ends the search; musl takes a refusal for silence and waits for seconds.
    return errorReply(query, RCODE.nameError);
  }
  const own = scope.endpoints.flatMap(({ dnsServers }) => dnsServers).filter((server) => isIP(server) !== 0);
  const servers = own.length > 0 ? [...new Set(own)] : deps.hostServers();
  const answer = await deps.forwarder.resolve(scope.containerId, query, servers);
  if (answer === null) return errorReply(query, RCODE.serverFailure);
  if (query.type === TYPE.a || query.type === TYPE.aaaa) {
    const limited = outward.filter(({ egress }) => egress !== null);
    if (limited.length > 0) {
      const { addressesIn } = await import('./addresses-in.ts');
      const told = addressesIn(answer.response, query, answer.ageSeconds);
      const { containerId } = scope;
      await Promise.all(
        limited.map(({ networkId }) => deps.learn({ networkId, containerId, name: query.name, ...told })),
      );
    }
  }
  return replyFrom(answer.response, query, answer.ageSeconds, maxBytes(query));
}
