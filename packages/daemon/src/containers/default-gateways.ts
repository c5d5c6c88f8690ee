/** Which of a container's networks is its way out, and so where its ports are published (moby libnetwork, Endpoint.Less). */
import {
  type AddressFamily,
  type Attachment,
  type EndpointRecord,
  type NetworkRecord,
  type NetworkSubnet,
  subnetOf,
} from '../networks/network.ts';

/** An endpoint of a running container, with its network. */
export interface AttachedEndpoint {
  readonly endpoint: EndpointRecord;
  readonly attachment: Attachment;
  readonly network: NetworkRecord;
}

export interface DefaultGateway extends AttachedEndpoint {
  readonly subnet: NetworkSubnet;
  /** The container's own. */
  readonly address: string;
}

/**
 * The endpoint whose gateway the container's default route of a family leads to: the highest `GwPriority`, else the first
 * network by name. Undefined where all networks are internal, or none has the family.
 */
export function defaultGateway(
  endpoints: readonly AttachedEndpoint[],
  family: AddressFamily,
): DefaultGateway | undefined {
  return endpoints
    .flatMap((attached): DefaultGateway[] => {
      const subnet = subnetOf(attached.network, family);
      const address = addressOf(attached.attachment, family);
      return subnet === undefined || address === null || attached.network.internal
        ? []
        : [{ ...attached, subnet, address }];
    })
    .sort(
      (a, b) =>
        (b.endpoint.config.GwPriority ?? 0) - (a.endpoint.config.GwPriority ?? 0) ||
        (a.network.name < b.network.name ? -1 : 1),
    )[0];
}

export function addressOf({ ipv4, ipv6 }: Attachment, family: AddressFamily): string | null {
  return family === 4 ? ipv4 : ipv6;
}

/** `172.18.0.2/16` of each family that the attachment has. */
export function addressesWithLength({ network, attachment }: AttachedEndpoint): readonly string[] {
  return network.subnets.flatMap(({ family, subnet }) => {
    const address = addressOf(attachment, family);
    return address === null ? [] : [`${address}/${prefixLength(subnet)}`];
  });
}

/** 16 of `172.18.0.0/16`. */
export function prefixLength(subnet: string): number {
  return Number(subnet.slice(subnet.lastIndexOf('/') + 1));
}
