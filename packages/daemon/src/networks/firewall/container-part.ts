/** What one running container adds to the daemon's table. Pure. */
import { isIPv4 } from 'node:net';
import { parseEgressRules } from '../egress-rule.ts';
import type { ContainerEgress, ContainerRules, PortTranslation } from '../firewall.ts';
import { egressChain, egressSets } from './egress-part.ts';
import { refusalRules, refusalSets } from './refusal-part.ts';
import type { TableElement, TablePart } from './table-part.ts';

export function containerPart(containerId: string, { ports, egress }: ContainerRules): TablePart {
  const elements = ports.map(portElement);
  if (egress === null) return { sets: new Map(), chains: new Map(), elements };
  const rules = parseEgressRules(egress.allow);
  const chain = egressChain(containerId);
  return {
    sets: new Map([...egressSets(containerId, rules), ...refusalSets(containerId)]),
    chains: new Map([
      // What the container's own list does not have may be on its network's, which ends in a refusal.
      [chain.name, [...chain.rules(rules), 'iifname vmap @egress_networks', ...refusalRules(containerId)]],
    ]),
    elements: [...elements, ...sourceElements(egress, chain.name)],
  };
}

function portElement({ protocol, hostIp, hostPort, containerIp, containerPort }: PortTranslation): TableElement {
  const target = `${containerIp} . ${containerPort}`;
  const key = `${protocol} . ${hostPort}`;
  const family = isIPv4(containerIp) ? 4 : 6;
  if (hostIp === '0.0.0.0' || hostIp === '::') return { set: `any_ports${family}`, element: `${key} : ${target}` };
  return { set: `ports${family}`, element: `${hostIp} . ${key} : ${target}` };
}

function sourceElements({ sources }: ContainerEgress, chain: string): TableElement[] {
  return sources.flatMap(({ bridgeName, addresses }) =>
    addresses.map((address) => ({
      set: `egress_containers${isIPv4(address) ? 4 : 6}`,
      element: `${JSON.stringify(bridgeName)} . ${address} : goto ${chain}`,
    })),
  );
}
