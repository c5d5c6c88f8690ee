/** What one bridge network adds to the daemon's table. Pure. */
import { isIPv4 } from 'node:net';
import { parseEgressRules } from '../egress-rule.ts';
import type { NetworkRecord } from '../network.ts';
import { NETWORK_OPTION, networkFlag } from '../network-options.ts';
import { egressChain, egressSets } from './egress-part.ts';
import { refusalRules, refusalSets } from './refusal-part.ts';
import type { TableElement, TablePart } from './table-part.ts';

export function networkPart(network: NetworkRecord): TablePart {
  const bridge = JSON.stringify(network.bridgeName);
  const isOpenWithin = networkFlag(network, NETWORK_OPTION.interContainer);
  const isMasqueraded = !network.internal && networkFlag(network, NETWORK_OPTION.masquerade);
  const elements: TableElement[] = [
    { set: 'bridges', element: bridge },
    {
      set: 'within',
      element: `${bridge} . ${bridge} : ${isOpenWithin ? 'accept' : 'goto closed_within'}`,
    },
    { set: 'leaving', element: `${bridge} : ${network.internal ? 'drop' : 'goto leave'}` },
  ];
  if (network.internal) elements.push({ set: 'internal_bridges', element: bridge });
  for (const { family, subnet } of network.subnets) {
    elements.push({ set: `subnets${family}`, element: `${bridge} . ${subnet}` });
    if (isMasqueraded) elements.push({ set: `masqueraded${family}`, element: subnet });
  }
  if (network.egress?.default !== 'deny') return { sets: new Map(), chains: new Map(), elements };
  const rules = parseEgressRules(network.egress.allow);
  const chain = egressChain(network.id);
  elements.push({ set: 'egress_networks', element: `${bridge} : goto ${chain.name}` });
  return {
    sets: new Map([...egressSets(network.id, rules), ...refusalSets(network.id)]),
    chains: new Map([[chain.name, [...chain.rules(rules), ...refusalRules(network.id)]]]),
    elements,
  };
}

/** What leads the queries of a network's containers to its name server: from port 53 of the bridge's address to `port`. */
export function namesPart({ bridgeName }: NetworkRecord, address: string, port: number): TablePart {
  const element = `${JSON.stringify(bridgeName)} . ${address} : ${port}`;
  return { sets: new Map(), chains: new Map(), elements: [{ set: `names${isIPv4(address) ? 4 : 6}`, element }] };
}
