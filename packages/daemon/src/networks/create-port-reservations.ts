/** Port reservations with sockets of the kernel's. */
import { closeSync } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import { bindPort } from '../os/bind-port.ts';
import { SystemCallError } from '../os/libc.ts';
import { ipBytes } from '../runtime/netlink/address-bytes.ts';
import type { PublishedPortRecord } from './network.ts';
import type { LostPort, PortReservations, RequestedPort } from './port-reservations.ts';

/** How often the kernel is asked for a port that is free in both families. */
const FREE_PORT_TRIES = 32;

interface Reservation {
  readonly port: PublishedPortRecord;
  /** null where the kernel lacks the protocol, and where another process took the port while no daemon ran. */
  readonly descriptor: number | null;
}

export function createPortReservations(): PortReservations {
  const byContainer = new Map<string, readonly Reservation[]>();
  // By protocol and port: a container with hundreds of ports must not be compared with all others.
  const byPort = new Map<string, readonly Reservation[]>();

  const giveUp = (reservations: readonly Reservation[]): void => {
    for (const reservation of reservations) {
      const left = (byPort.get(portKey(reservation.port)) ?? []).filter((one) => one !== reservation);
      if (left.length === 0) byPort.delete(portKey(reservation.port));
      else byPort.set(portKey(reservation.port), left);
      if (reservation.descriptor !== null) closeSync(reservation.descriptor);
    }
  };
  const keep = (port: PublishedPortRecord, descriptor: number | null): Reservation => {
    const reservation = { port, descriptor };
    byPort.set(portKey(port), [...(byPort.get(portKey(port)) ?? []), reservation]);
    return reservation;
  };
  /** Port 0 is for any that is free. Throws PortRefusal. */
  const take = (port: PublishedPortRecord): Reservation => {
    if (byPort.get(portKey(port))?.some((held) => collide(held.port.hostIp, port.hostIp)))
      throw new PortRefusal(port, 'port is already allocated');
    try {
      const held = bindPort(port.protocol, ipBytes(port.hostIp), port.hostPort);
      return keep({ ...port, hostPort: held.port }, held.descriptor);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (error.code === 'EADDRINUSE') throw new PortRefusal(port, 'address already in use');
      if (error.code === 'EADDRNOTAVAIL') throw new PortRefusal(port, 'cannot assign requested address');
      // A kernel without SCTP of its own has nobody who could take the port, and translates it all the same.
      if (error.code === 'EPROTONOSUPPORT' && port.hostPort !== 0) return keep(port, null);
      throw new PortRefusal(port, error.message);
    }
  };
  /** One port number on all addresses of a request. Throws PortRefusal. */
  const takeAll = ({ hostIps, containerPort, protocol }: RequestedPort, wanted: number): Reservation[] => {
    const taken: Reservation[] = [];
    try {
      for (const hostIp of hostIps) {
        taken.push(take({ containerPort, protocol, hostIp, hostPort: taken[0]?.port.hostPort ?? wanted }));
      }
      return taken;
    } catch (error) {
      giveUp(taken);
      throw error;
    }
  };
  const add = (containerId: string, added: readonly Reservation[]): void => {
    if (added.length > 0) byContainer.set(containerId, [...(byContainer.get(containerId) ?? []), ...added]);
  };

  return {
    reserve(containerId, endpoint, requests) {
      const taken: Reservation[] = [];
      try {
        for (const request of requests) taken.push(...firstThatWorks(request, (port) => takeAll(request, port)));
      } catch (error) {
        giveUp(taken);
        if (!(error instanceof PortRefusal)) throw error;
        throw new TsdError(
          'conflict',
          `driver failed programming external connectivity on endpoint ${endpoint}: ${error.message}`,
        );
      }
      add(containerId, taken);
      return taken.map(({ port }) => port);
    },
    reclaim(containerId, ports) {
      const lost: LostPort[] = [];
      for (const port of ports) {
        try {
          add(containerId, [take(port)]);
        } catch (error) {
          if (!(error instanceof PortRefusal)) throw error;
          lost.push({ port, reason: error.message, isTaken: error.isTaken });
          add(containerId, [keep(port, null)]);
        }
      }
      return lost;
    },
    release(containerId) {
      giveUp(byContainer.get(containerId) ?? []);
      byContainer.delete(containerId);
    },
    close() {
      for (const reservations of byContainer.values()) giveUp(reservations);
      byContainer.clear();
    },
  };
}

/** Why a port cannot be had. The texts are Docker's: clients read them. */
class PortRefusal extends Error {
  /** Another port may be free. */
  readonly isTaken: boolean;

  constructor({ hostIp, hostPort, protocol }: PublishedPortRecord, reason: string) {
    const address = `${hostIp.includes(':') ? `[${hostIp}]` : hostIp}:${hostPort}`;
    const isAllocated = reason === 'port is already allocated';
    super(
      isAllocated
        ? `Bind for ${address} failed: ${reason}`
        : `failed to bind host port for ${address}/${protocol}: ${reason}`,
    );
    this.isTaken = isAllocated || reason === 'address already in use';
  }
}

/** The ports of the request's range in their order, or ones that the kernel has free. Throws what the last try did. */
function firstThatWorks({ hostPorts }: RequestedPort, take: (port: number) => Reservation[]): Reservation[] {
  const first = hostPorts?.first ?? 1;
  const last = hostPorts?.last ?? FREE_PORT_TRIES;
  for (let port = first; ; port += 1) {
    try {
      return take(hostPorts === null ? 0 : port);
    } catch (error) {
      if (!(error instanceof PortRefusal && error.isTaken) || port >= last) throw error;
    }
  }
}

function portKey({ protocol, hostPort }: PublishedPortRecord): string {
  return `${hostPort}/${protocol}`;
}

/** As the kernel has it for one port: the address of all addresses collides with every one of its family. */
function collide(a: string, b: string): boolean {
  return a.includes(':') === b.includes(':') && (a === b || [a, b].some((ip) => ip === '0.0.0.0' || ip === '::'));
}
