/**
 * What other programs' rules do to containers' packets. A packet passes only where all tables let it: where iptables drops by
 * default, rules for the daemon's bridges go into the places that are meant for it, and what is in the way besides is told.
 * Pure.
 */

type NftObject = Readonly<Record<string, unknown>>;

interface ListedChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

/** A rule that the daemon has, or wants, in another program's chain. Its comment tells it from all others. */
export interface GuestRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly comment: string;
  readonly rule: string;
}

export interface ListedGuest extends Omit<GuestRule, 'rule'> {
  readonly handle: number;
}

/** What has to be known of a bridge: its name, and the ports on which its name server listens. */
export interface GuestBridge {
  readonly name: string;
  readonly namePorts: readonly number[];
}

const IPTABLES_FAMILIES: ReadonlySet<string> = new Set(['ip', 'ip6']);
/** Docker keeps this chain for rules of others, and asks it before its own. */
const DOCKER_CHAIN = 'DOCKER-USER';

/** The chains of iptables that can have rules of the daemon's. */
export function hostChains(listed: readonly NftObject[]): { forward: ListedChain[]; input: ListedChain[] } {
  const iptables = chainsOf(listed).filter(({ family, table }) => IPTABLES_FAMILIES.has(family) && table === 'filter');
  return {
    forward: iptables.filter(({ name }) => name === DOCKER_CHAIN),
    input: iptables.filter(({ name }) => name === 'INPUT'),
  };
}

/**
 * The rules that the bridges need there: for what is forwarded, and for the name server where INPUT drops by default. `owner` is
 * the name of the daemon's table.
 */
export function wantedGuests(
  owner: string,
  { forward, input }: ReturnType<typeof hostChains>,
  bridges: readonly GuestBridge[],
): GuestRule[] {
  const guest = ({ family, table, name }: ListedChain, rule: string): GuestRule => ({
    family,
    table,
    chain: name,
    comment: `${owner}: ${rule.replaceAll('"', '')}`,
    rule: `${rule} counter accept`,
  });
  const closedInput = input.filter(({ policy }) => policy === 'drop');
  return bridges.flatMap(({ name, namePorts }) => [
    ...forward.flatMap((chain) => [guest(chain, `iifname "${name}"`), guest(chain, `oifname "${name}"`)]),
    ...closedInput.flatMap((chain) =>
      namePorts.flatMap((port) =>
        ['udp', 'tcp'].map((protocol) => guest(chain, `iifname "${name}" ${protocol} dport ${port}`)),
      ),
    ),
  ]);
}

/** The daemon's rules among those of other programs' chains. */
export function listedGuests(owner: string, listed: readonly NftObject[]): ListedGuest[] {
  return listed.flatMap((object) => {
    const rule = object['rule'] as (ListedGuest & { readonly comment?: string }) | undefined;
    if (rule?.comment?.startsWith(`${owner}: `) !== true) return [];
    const { family, table, chain, comment, handle } = rule;
    return [{ family, table, chain, comment, handle }];
  });
}

/** Commands that turn what is there into what is wanted; '' for nothing to do. */
export function guestCommands(listed: readonly ListedGuest[], wanted: readonly GuestRule[]): string {
  const key = ({ family, chain, comment }: Omit<GuestRule, 'rule'>) => `${family} ${chain} ${comment}`;
  const there = new Set(listed.map(key));
  const right = new Set(wanted.map(key));
  return [
    ...listed
      .filter((guest) => !right.has(key(guest)))
      .map(({ family, table, chain, handle }) => `delete rule ${family} ${table} ${chain} handle ${handle}`),
    ...wanted
      .filter((guest) => !there.has(key(guest)))
      .map(
        ({ family, table, chain, rule, comment }) =>
          `insert rule ${family} ${table} ${chain} ${rule} comment "${comment}"`,
      ),
  ].join('\n');
}

/** What may be in the way of forwarded packets and has no place for rules of others: for the log. */
export function obstacles(owner: string, listed: readonly NftObject[]): string[] {
  const chains = chainsOf(listed);
  const dropping = chains.filter(
    ({ family, table, hook, policy }) =>
      hook === 'forward' && policy === 'drop' && !(family === 'inet' && table === owner) && family !== 'bridge',
  );
  const withoutPlace = dropping.filter(
    ({ family, table }) =>
      !chains.some((other) => other.name === DOCKER_CHAIN && other.family === family && other.table === table),
  );
  const texts = withoutPlace.map(
    ({ family, table, name }) =>
      `the chain ${name} of the table ${family} ${table} drops forwarded packets by default: let it accept those from and to the bridges, or containers reach nothing outside of their network`,
  );
  if (chains.some(({ table }) => table === 'firewalld'))
    texts.push(
      'firewalld refuses packets between its zones: put the bridges into a zone that forwards, for example with firewall-cmd --permanent --zone=trusted --add-interface=BRIDGE, or containers reach nothing outside of their network',
    );
  return texts;
}

function chainsOf(listed: readonly NftObject[]): ListedChain[] {
  return listed.flatMap((object) => (object['chain'] === undefined ? [] : [object['chain'] as ListedChain]));
}
