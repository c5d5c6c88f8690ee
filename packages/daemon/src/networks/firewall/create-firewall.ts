/** The firewall on nftables: records become parts of the daemon's table, and the table is kept as it should be. */
import { TsdError } from '@tsd/shared/errors';
import { type Nftables, NftablesError, openNftables } from '../../os/libnftables.ts';
import { type EgressRule, parseEgressRules } from '../egress-rule.ts';
import type { ContainerRules, Firewall } from '../firewall.ts';
import { NAME_SERVER_PORT } from '../name-server/name-server.ts';
import type { AddressFamily, NetworkRecord } from '../network.ts';
import type { NetworkLog } from '../network-deps.ts';
import { containerPart } from './container-part.ts';
import { egressChain } from './egress-part.ts';
import { createLaidTable, type LaidTable } from './laid-table.ts';
import { createLearntAddresses, learnCommands, type OwnedRules } from './learnt-addresses.ts';
import { createNeighbours, type Neighbours } from './neighbours.ts';
import { namesPart, networkPart } from './network-part.ts';
import { readLearnt, readPackets, readRefusals, readRuleCounters, readUnlisted } from './read-egress.ts';
import { isRefusalSet } from './refusal-part.ts';
import { createRuleSetGeneration, type RuleSetGeneration } from './rule-set-generation.ts';
import { GUARDED_SET, guardFrame, layFrame, REFUSE_CHAIN, tableFrame } from './table-frame.ts';
import { EMPTY_PART, type TablePart } from './table-part.ts';
import { forgetUdpConnections } from './tracked-connections.ts';

/** How soon what others flush is laid down again. */
const WATCH_INTERVAL_MS = 1000;
const GUARD_KEY = 'forwarding';

export interface FirewallOptions {
  /** Name of the daemon's table, of the family inet. */
  readonly table: string;
  /** New connections to published ports have to pass the host's INPUT chains. */
  readonly publishThroughInput: boolean;
  /** The families to guard from the start (`Firewall.guardForwarding`). */
  readonly guarded?: readonly AddressFamily[];
  readonly log: NetworkLog;
}

interface Opened {
  readonly nft: Nftables;
  readonly generation: RuleSetGeneration;
  readonly laid: LaidTable;
  readonly neighbours: Neighbours;
}

/** Opens what it needs at its first use; that throws where libnftables is missing or the kernel has no nftables. */
export function createFirewall({
  table,
  publishThroughInput,
  guarded: guardedFirst = [],
  log,
}: FirewallOptions): Firewall {
  let opened: Opened | undefined;
  let timer: NodeJS.Timeout | undefined;
  let checking: Promise<void> | null = null;
  const networks = new Map<string, NetworkRecord>();
  // Ports of the name server, by network and address.
  const namePorts = new Map<string, Map<string, number>>();
  const containers = new Map<string, ContainerRules>();
  // Also of changes that are under way.
  const asked = new Map<string, ContainerRules>();
  const rulesByOwner = new Map<string, readonly EgressRule[]>();
  const learnt = createLearntAddresses();
  let guarded = guardedFirst;
  const inBackground = new Set<Promise<void>>();

  const open = (): Opened => {
    if (opened !== undefined) return opened;
    const plain = openNftables();
    const generation = createRuleSetGeneration();
    const nft: Nftables = { ...plain, run: (commands) => generation.own(() => plain.run(commands)) };
    const laid = createLaidTable(nft, table, tableFrame({ publishThroughInput }));
    opened = { nft, generation, laid, neighbours: createNeighbours(nft, table, log) };
    return opened;
  };
  const shut = (): void => {
    opened?.nft.close();
    opened?.generation.close();
    opened = undefined;
  };

  const afterwards = (work: Promise<void>, failure: string): void => {
    const watched: Promise<void> = work
      .catch((error: unknown) => log.warn({ err: error }, failure))
      .finally(() => inBackground.delete(watched));
    inBackground.add(watched);
  };
  const tellNeighbours = (): void => {
    const bridges = [...networks.values()].map(({ id, bridgeName }) => ({
      name: String(bridgeName),
      namePorts: [...new Set(namePorts.get(id)?.values())],
    }));
    afterwards(open().neighbours.update(bridges), 'rules for the bridges could not be put into other programs’ chains');
  };
  const forgetUdp = (rules: ContainerRules | undefined): void => {
    const ports = rules?.ports.filter(({ protocol }) => protocol === 'udp') ?? [];
    if (ports.length > 0) afterwards(forgetUdpConnections(ports), 'connections of UDP ports could not be forgotten');
  };

  const putPart = async (key: string, part: TablePart | null): Promise<void> => {
    const { laid } = open();
    const before = laid.parts.get(key);
    await laid.change(key, part);
    for (const set of before?.sets.keys() ?? []) if (part?.sets.has(set) !== true) learnt.forget(set);
  };
  const keepRules = (owner: string, allow: readonly string[] | null): void => {
    if (allow === null) rulesByOwner.delete(owner);
    else rulesByOwner.set(owner, parseEgressRules(allow));
  };
  const learnAll = (): string => {
    const entries = learnt.list();
    return learnCommands(table, entries, performance.now(), () => false);
  };

  const check = async (): Promise<void> => {
    const { generation, laid } = open();
    if (!generation.othersChanged()) return;
    if (!(await laid.isIntact())) {
      log.warn({ table }, 'another program changed the rules of the networks: laying them down again');
      await laid.lay(null, learnAll);
    }
    tellNeighbours();
  };

  return {
    async setNetwork(network) {
      await putPart(networkKey(network.id), networkPart(network));
      networks.set(network.id, network);
      keepRules(network.id, policyOf(network));
      tellNeighbours();
    },
    async removeNetwork(networkId) {
      if (!networks.has(networkId)) return;
      for (const key of open().laid.parts.keys()) {
        if (key.startsWith(namesKey(networkId, ''))) await putPart(key, null);
      }
      await putPart(networkKey(networkId), null);
      networks.delete(networkId);
      namePorts.delete(networkId);
      keepRules(networkId, null);
      tellNeighbours();
    },

    async setContainer(containerId, rules) {
      const before = containers.get(containerId);
      asked.set(containerId, rules);
      await putPart(containerKey(containerId), containerPart(containerId, rules)).catch((error: unknown) => {
        throw isTaken(error) ? taken(containerId, error) : error;
      });
      containers.set(containerId, rules);
      keepRules(containerId, rules.egress?.allow ?? null);
      forgetUdp(before);
      forgetUdp(rules);
    },
    async removeContainer(containerId) {
      const last = asked.get(containerId);
      if (last === undefined) return;
      await putPart(containerKey(containerId), null);
      const before = containers.get(containerId);
      if (asked.get(containerId) === last) asked.delete(containerId);
      containers.delete(containerId);
      keepRules(containerId, null);
      forgetUdp(before);
    },

    async learn({ networkId, containerId, name, addresses, ttlSeconds }) {
      const policies = [networkId, containerId].flatMap((owner): OwnedRules[] => {
        const rules = rulesByOwner.get(owner);
        return rules === undefined ? [] : [{ owner, rules }];
      });
      if (policies.length === 0) return;
      const missing = learnt.missing(policies, name, addresses, ttlSeconds);
      if (missing.length === 0) return;
      await open().laid.run(learnCommands(table, missing, performance.now(), learnt.knows));
      learnt.remember(missing);
    },

    async redirectNames(networkId, address, port) {
      const network = networks.get(networkId);
      if (network === undefined) throw new Error(`there are no rules of the network ${networkId}`);
      await putPart(namesKey(networkId, address), namesPart(network, address, port));
      namePorts.set(networkId, (namePorts.get(networkId) ?? new Map()).set(address, port));
      tellNeighbours();
    },

    async guardForwarding(families) {
      await putPart(GUARD_KEY, guardPart(families));
      guarded = families;
    },

    async egressCounters(networkId) {
      const network = networks.get(networkId);
      if (network?.egress?.default !== 'deny') return [];
      const chain = await open().nft.read(`list chain inet ${table} ${egressChain(networkId).name}`);
      return readRuleCounters(chain, network.egress.allow);
    },
    async egressRefusals() {
      const { nft, laid } = open();
      const read = async (names: readonly string[]) => {
        // A policy may go meanwhile, and its sets with it.
        const sets = names.map((name) => nft.read(`list set inet ${table} ${name}`).catch(nothingThere));
        return (await Promise.all(sets)).flat();
      };
      const own = [...laid.parts.values()].flatMap(({ sets }) => [...sets.keys()].filter(isRefusalSet));
      return { listed: readRefusals(await read(own)), unlisted: readUnlisted(await read(['unlisted4', 'unlisted6'])) };
    },

    async refusedPackets() {
      if (rulesByOwner.size === 0) return 0;
      return readPackets(await open().nft.read(`list chain inet ${table} ${REFUSE_CHAIN}`));
    },

    async restore(records, running) {
      const { nft, laid } = open();
      const bridged = records.filter(({ driver }) => driver === 'bridge');
      const parts = new Map<string, TablePart>([
        [GUARD_KEY, guardPart(guarded)],
        ...bridged.map((network) => [networkKey(network.id), networkPart(network)] as const),
        ...bridged.flatMap((network) =>
          network.subnets.map(
            ({ gateway }) => [namesKey(network.id, gateway), namesPart(network, gateway, NAME_SERVER_PORT)] as const,
          ),
        ),
        ...[...running].map(([id, rules]) => [containerKey(id), containerPart(id, rules)] as const),
      ]);
      // Containers go on using the addresses that they were told by the last daemon.
      const sets = new Set([...parts.values()].flatMap((part) => [...part.sets.keys()]));
      const listed = await nft.read(`list table inet ${table}`).catch(nothingThere);
      learnt.remember(readLearnt(listed, performance.now()).filter(({ set }) => sets.has(set)));
      await laid.lay(parts, learnAll);
      for (const known of [networks, namePorts, containers, asked, rulesByOwner]) known.clear();
      for (const network of bridged) {
        networks.set(network.id, network);
        namePorts.set(network.id, new Map(network.subnets.map(({ gateway }) => [gateway, NAME_SERVER_PORT])));
        keepRules(network.id, policyOf(network));
      }
      for (const [id, rules] of running) {
        containers.set(id, rules);
        asked.set(id, rules);
        keepRules(id, rules.egress?.allow ?? null);
      }
      tellNeighbours();
    },
    watch() {
      timer ??= setInterval(() => {
        checking ??= check()
          .catch((error: unknown) => log.error({ err: error }, 'the rules of the networks could not be checked'))
          .finally(() => {
            checking = null;
          });
      }, WATCH_INTERVAL_MS).unref();
    },
    async close() {
      clearInterval(timer);
      timer = undefined;
      await checking;
      await Promise.all(inBackground);
      await opened?.laid.settled();
      shut();
    },
    async cleanUp() {
      const { nft, neighbours } = open();
      try {
        await neighbours.update([]);
        await nft.run(
          guarded.length > 0
            ? layFrame(table, guardFrame(guarded))
            : `add table inet ${table}\ndelete table inet ${table}`,
        );
      } finally {
        shut();
      }
    },
  };
}

/** The kernel's EEXIST: a map has the key already, with another value. */
function isTaken(error: unknown): boolean {
  return error instanceof NftablesError && error.message.includes('File exists');
}

function taken(containerId: string, cause: unknown): TsdError {
  return new TsdError(
    'conflict',
    `container ${containerId.slice(0, 12)}: a host port or an address of it is another container's in the packet filter`,
    { cause },
  );
}

function nothingThere(error: unknown): [] {
  if (error instanceof NftablesError) return [];
  throw error;
}

function guardPart(families: readonly AddressFamily[]): TablePart {
  return { ...EMPTY_PART, elements: families.map((family) => ({ set: GUARDED_SET, element: `ipv${family}` })) };
}

function policyOf({ egress }: NetworkRecord): readonly string[] | null {
  return egress?.default === 'deny' ? egress.allow : null;
}

function networkKey(id: string): string {
  return `network ${id}`;
}

function containerKey(id: string): string {
  return `container ${id}`;
}

function namesKey(networkId: string, address: string): string {
  return `names ${networkId} ${address}`;
}
