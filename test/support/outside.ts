/**
 * A network namespace that stands for the outside: a machine behind a cable of its own, which has routes to the host and to
 * nothing else. What comes from there comes to the host as from any neighbour.
 */
import { execFileSync } from 'node:child_process';
import { type CommandResult, run } from './client.ts';

export interface Outside {
  /** Addresses of the machine outside. */
  readonly ipv4: string;
  readonly ipv6: string;
  /** The host's addresses on the cable. */
  readonly hostIpv4: string;
  readonly hostIpv6: string;
  /** Runs a command there. */
  run(program: string, ...args: string[]): Promise<CommandResult>;
  /** Adds a route there, such as to containers through the host, as an attacker on the same link would. */
  route(destination: string, via: string): void;
  /** What to start there with spawn(): the program and the arguments in front of the command's own. */
  readonly prefix: readonly [program: string, ...args: string[]];
  remove(): void;
}

let made = 0;

/**
 * Makes the namespace, on a cable to the host or to another namespace that stands for a host. Its subnets are chosen by this
 * process' id: tests run side by side.
 */
export function makeOutside(hostNamespace?: string): Outside {
  const number = (process.pid * 2 + made++) % 0x8000;
  const name = `tsd-test-outside-${number.toString(16)}`;
  const hostEnd = `tsdo${number.toString(16)}`;
  // A /30 of 198.18.0.0/15, which RFC 2544 keeps for tests.
  const base = number * 4;
  const ipv4 = (last: number): string => `198.${18 + (base >> 16)}.${(base >> 8) & 0xff}.${(base & 0xff) + last}`;
  const ipv6 = (last: number): string => `fd74:7364:${number.toString(16)}::${last}`;
  const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const onHost = (...args: string[]): void => {
    ip(...(hostNamespace === undefined ? [] : ['-n', hostNamespace]), ...args);
  };
  const remove = (): void => {
    // The pair goes with its end in the namespace, but late: delete it by name.
    onHost('link', 'delete', hostEnd);
    ip('netns', 'delete', name);
  };
  ip('netns', 'add', name);
  try {
    onHost('link', 'add', hostEnd, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
  } catch (error) {
    ip('netns', 'delete', name);
    throw error;
  }
  try {
    onHost('address', 'add', `${ipv4(1)}/30`, 'dev', hostEnd);
    onHost('address', 'add', `${ipv6(1)}/64`, 'dev', hostEnd, 'nodad');
    onHost('link', 'set', hostEnd, 'up');
    ip('-n', name, 'address', 'add', `${ipv4(2)}/30`, 'dev', 'eth0');
    ip('-n', name, 'address', 'add', `${ipv6(2)}/64`, 'dev', 'eth0', 'nodad');
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
  } catch (error) {
    remove();
    throw error;
  }
  const prefix = ['ip', 'netns', 'exec', name] as const;
  return {
    ipv4: ipv4(2),
    ipv6: ipv6(2),
    hostIpv4: ipv4(1),
    hostIpv6: ipv6(1),
    prefix,
    run: (program, ...args) => run('ip', [...prefix.slice(1), program, ...args]),
    route: (destination, via) => ip('-n', name, 'route', 'add', destination, 'via', via),
    remove,
  };
}
