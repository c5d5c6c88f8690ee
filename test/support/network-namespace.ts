/** Network namespaces that stand for hosts: whatever an engine makes there stays there, and goes with them. */
import { execFileSync } from 'node:child_process';

export interface NetworkNamespace {
  readonly name: string;
  /**
   * The command in front of one that is to run there. Not `ip netns exec`, which mounts another /sys, without the cgroups.
   */
  readonly enter: readonly string[];
  remove(): void;
}

/** Makes a namespace with loopback, ip-netns(8). */
export function addNetworkNamespace(name: string): NetworkNamespace {
  execFileSync('ip', ['netns', 'add', name]);
  execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  return {
    name,
    enter: ['nsenter', `--net=/run/netns/${name}`],
    remove: () => void execFileSync('ip', ['netns', 'delete', name]),
  };
}
