/**
 * Servers of the DNS in containers and on the host have port 53 to themselves, while containers go on asking theirs at port 53 of
 * their bridge: in a network namespace that stands for a host whose INPUT drops by default.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type CommandResult, run } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { loadProbeImage, netProbe, PROBE_IMAGE } from './support/net-probe.ts';
import { addNetworkNamespace } from './support/network-namespace.ts';
import { makeOutside } from './support/outside.ts';

t.setTimeout(120_000);
const namespace = addNetworkNamespace(`tsd-test-dns-${process.pid.toString(16)}`);
t.teardown(() => namespace.remove());
const outside = makeOutside(namespace.name);
t.teardown(() => outside.remove());
const onHost = (program: string, ...args: string[]): void => {
  const [enter = '', ...rest] = [...namespace.enter, program, ...args];
  execFileSync(enter, rest);
};

for (const iptables of ['iptables-nft', 'ip6tables-nft']) {
  onHost(iptables, '-P', 'INPUT', 'DROP');
  onHost(iptables, '-A', 'INPUT', '-p', iptables === 'iptables-nft' ? 'icmp' : 'ipv6-icmp', '-j', 'ACCEPT');
  // For published ports that obey INPUT; the name server needs no rule of the user's.
  for (const protocol of ['udp', 'tcp'])
    onHost(iptables, '-A', 'INPUT', '-p', protocol, '--dport', '53', '-j', 'ACCEPT');
}

for (const args of [[], ['--publish-through-input']]) {
  await t.test(`tsd ${args.join(' ')}`, async (t) => {
    const daemon = await startDaemon({ args, before: namespace.enter });
    t.teardown(() => daemon.remove());
    const { tsdctl } = daemon;
    await loadProbeImage(daemon);
    const networks: readonly (readonly string[])[] = [
      ['open', '--ipv6'],
      ['cellar', '--internal'],
      ['strict', '--egress', 'deny'],
    ];
    for (const [name = '', ...options] of networks) {
      await tsdctl.output('network', 'create', ...options, name);
      const host = ['--name', `in-${name}`, '--network', name];
      await tsdctl.output('run', '-d', ...host, PROBE_IMAGE, 'net-probe', 'serve', 'tcp:80');
    }
    const published = ['-p', '53:53/udp', '-p', '53:53/tcp', '--network', 'open'];
    const serve = ['net-probe', 'serve', 'udp:53', 'tcp:53'];
    await tsdctl.output('run', '-d', '--name', 'dns', ...published, PROBE_IMAGE, ...serve);
    await eventually(async () => (await tsdctl.output('logs', 'dns')).includes('serving'), { what: 'the server' });

    for (const protocol of ['udp', 'tcp']) {
      for (const [address, sender] of [
        [outside.hostIpv4, outside.ipv4],
        [outside.hostIpv6, outside.ipv6],
      ] as const) {
        // Through INPUT the first packet is dropped, and UDP repeats nothing by itself.
        const answer = await eventually(
          async () => {
            const { code, stdout } = await outside.run(netProbe(), 'ask', protocol, address, '53');
            return code === 0 ? stdout : undefined;
          },
          { what: `the container's server answers at ${address}, ${protocol}` },
        );
        t.equal(answer.split(' ')[0], sender, `${protocol} from outside`);
      }
    }

    const inspected = (await tsdctl.output('network', 'inspect', 'open', '-f', '{{json .IPAM.Config}}')) as string;
    const gateways = (JSON.parse(inspected) as { Gateway: string }[]).map(({ Gateway }) => Gateway);
    t.equal(gateways.length, 2);
    for (const [name = ''] of networks) {
      const { State } = await daemon.inspect(`in-${name}`);
      const servers = name === 'open' ? gateways : [await gatewayOf(tsdctl, name)];
      for (const server of servers) {
        for (const options of ['', 'options use-vc']) {
          const { code, stdout, stderr } = await resolve(State.Pid, server, options, `in-${name}`);
          t.equal(code, 0, `${name} asks ${server} ${options}: ${stderr}`);
          t.match(stdout, `in-${name}`);
        }
      }
    }

    /** With glibc's resolver, in the container's network; `use-vc` asks over TCP. */
    function resolve(pid: number, server: string, options: string, name: string): Promise<CommandResult> {
      const file = join(daemon.directory, 'resolv.conf');
      writeFileSync(file, `nameserver ${server}\n${options}\n`);
      const script = 'mount --bind "$0" /etc/resolv.conf && exec getent ahostsv4 "$1"';
      const enter = ['--target', String(pid), '--net', 'unshare', '--mount', 'sh', '-c', script];
      return run('nsenter', [...enter, file, name]);
    }
  });
}

async function gatewayOf(tsdctl: { output(...args: string[]): Promise<string> }, network: string): Promise<string> {
  return tsdctl.output('network', 'inspect', network, '-f', '{{(index .IPAM.Config 0).Gateway}}');
}
