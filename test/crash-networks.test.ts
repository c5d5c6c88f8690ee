/**
 * kill -9 of the daemon at any moment of what changes networks: afterwards endpoints, rules, bridges and interfaces agree with what
 * exists. A network namespace stands for the host, so all that is in it is this test's.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { TEMPORARY_PREFIX } from './support/leaks.ts';
import { addNetworkNamespace } from './support/network-namespace.ts';

t.setTimeout(400_000);
const host = addNetworkNamespace(`${TEMPORARY_PREFIX}crash-${process.pid}`);
t.teardown(() => host.remove());
const pools = ['--bip', '10.77.0.1/24', '--default-address-pool', 'base=10.77.128.0/17,size=24'];
const daemon = await startDaemon({ before: host.enter, args: pools });
t.teardown(() => daemon.remove());
await daemon.load();
const { api } = daemon;

interface Network {
  readonly Id: string;
  readonly Driver: string;
  readonly Options: Readonly<Record<string, string>>;
}
interface Settings {
  readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>>;
  readonly Networks: Readonly<Record<string, { EndpointID: string; NetworkID: string; IPAddress: string }>>;
}
interface Link {
  readonly ifname: string;
  readonly master?: string;
  readonly linkinfo?: { readonly info_kind: string };
}
/** What there is of networks, told by the API or seen in the kernel; sorted texts. */
interface Picture {
  readonly bridges: readonly string[];
  /** `INTERFACE on BRIDGE`. */
  readonly ports: readonly string[];
  /** `PORT to ADDRESS`. */
  readonly published: readonly string[];
  /** Bridges that the packet filter knows. */
  readonly filtered: readonly string[];
}

type Assertions = Pick<typeof t, 'same' | 'strictSame'>;

const onHost = (...command: string[]): string =>
  execFileSync('nsenter', [...host.enter.slice(1), ...command], { encoding: 'utf8' });
const call = async <T>(path: string): Promise<T> => (await api.request('GET', path)).json<T>();

async function told(test: Assertions): Promise<Picture> {
  const networks = (await call<Network[]>('/networks')).filter(({ Driver }) => Driver === 'bridge');
  const bridgeOf = new Map(
    networks.map(({ Id, Options }) => [Id, Options['com.docker.network.bridge.name'] ?? `tsd-${Id.slice(0, 11)}`]),
  );
  const ports: string[] = [];
  const published: string[] = [];
  for (const { Id } of await call<{ Id: string }[]>('/containers/json?all=1')) {
    const { State, NetworkSettings } = await daemon.inspect(Id);
    const { Networks, Ports } = NetworkSettings as Settings;
    for (const { EndpointID, NetworkID, IPAddress } of Object.values(Networks)) {
      if (!State.Running) test.same([EndpointID, IPAddress], ['', ''], 'one that does not run holds no address');
      else ports.push(`tsdv${EndpointID.slice(0, 11)} on ${bridgeOf.get(NetworkID)}`);
    }
    for (const bindings of Object.values(Ports)) for (const { HostPort } of bindings ?? []) published.push(HostPort);
  }
  const bridges = [...bridgeOf.values()].sort();
  return { bridges, ports: ports.sort(), published: published.sort(), filtered: bridges };
}

function seen(): Picture {
  const links = JSON.parse(onHost('ip', '-j', '-d', 'link')) as Link[];
  const { nftables } = JSON.parse(onHost('nft', '-j', 'list', 'ruleset')) as { nftables: Record<string, unknown>[] };
  const elements = (name: string): unknown[] =>
    nftables.flatMap((object) => {
      const set = (object['set'] ?? object['map']) as { name: string; elem?: unknown[] } | undefined;
      return set?.name === name ? (set.elem ?? []) : [];
    });
  return {
    bridges: links.flatMap(({ ifname, linkinfo }) => (linkinfo?.info_kind === 'bridge' ? [ifname] : [])).sort(),
    ports: links.flatMap(({ ifname, master }) => (ifname.startsWith('tsdv') ? [`${ifname} on ${master}`] : [])).sort(),
    published: elements('any_ports4')
      .map((element) => String((element as [{ concat: unknown[] }])[0].concat[1]))
      .sort(),
    filtered: elements('bridges').map(String).sort(),
  };
}

/** Compares what is told with what is seen; the kernel removes interfaces in its own time. */
async function agrees(test: Assertions, when: string): Promise<void> {
  const expected = await told(test);
  await eventually(() => isDeepStrictEqual(seen(), expected), { what: when }).catch(() => undefined);
  test.strictSame(seen(), expected, when);
}

/** Kills the daemon so many milliseconds after the beginning of some work, and starts the next one. */
async function killedAfter(waitMs: number, work: () => Promise<unknown>): Promise<void> {
  const attempt = work().catch(() => undefined); // The daemon dies under it.
  await delay(waitMs);
  await daemon.crash();
  await attempt;
  await daemon.start();
}

const post = (path: string, body?: object): Promise<unknown> => api.request('POST', path, body);
const remove = (path: string): Promise<unknown> => api.request('DELETE', path);
const create = (name: string, network: string, hostPort?: string): Promise<unknown> =>
  post(`/containers/create?name=${name}`, {
    Image: 'busybox',
    Cmd: ['sleep', '1000'],
    HostConfig: {
      NetworkMode: network,
      ...(hostPort === undefined ? {} : { PortBindings: { '80/tcp': [{ HostPort: hostPort }] } }),
    },
  });

await create('witness', 'bridge', '8000');
await post('/containers/witness/start');
const witness = await daemon.inspect('witness');

t.test('start of a container with a port, and rm -f of it', async (t) => {
  for (let moment = 0; moment < 8; moment += 1) {
    await create('web', 'bridge', '8080');
    await killedAfter(2 + moment * 2, () => post('/containers/web/start'));
    await agrees(t, `start at ${moment}`);
    await post('/containers/web/start');
    t.ok((await daemon.inspect('web')).State.Running, 'its port and address are free for it');
    await killedAfter(moment * 1.5, () => remove('/containers/web?force=1'));
    await agrees(t, `rm -f at ${moment}`);
    await remove('/containers/web?force=1');
  }
});

t.test('create and rm of a network', async (t) => {
  for (let moment = 0; moment < 6; moment += 1) {
    await killedAfter(1 + moment, () => post('/networks/create', { Name: 'net' }));
    await agrees(t, `create at ${moment}`);
    await post('/networks/create', { Name: 'net' });
    await killedAfter(moment * 2, () => remove('/networks/net'));
    await agrees(t, `rm at ${moment}`);
    await remove('/networks/net');
  }
});

t.test('connect and disconnect', async (t) => {
  await post('/networks/create', { Name: 'inner', Internal: true });
  await post('/networks/create', { Name: 'front' });
  await create('web', 'inner', '8080');
  await post('/containers/web/start');
  for (let moment = 0; moment < 7; moment += 1) {
    await killedAfter(1 + moment, () => post('/networks/front/connect', { Container: 'web' }));
    await agrees(t, `connect at ${moment}`);
    await post('/networks/front/connect', { Container: 'web' });
    await agrees(t, `connected after ${moment}`);
    await killedAfter(moment * 3, () => post('/networks/front/disconnect', { Container: 'web' }));
    await agrees(t, `disconnect at ${moment}`);
    await post('/networks/front/disconnect', { Container: 'web' });
    await agrees(t, `disconnected after ${moment}`);
  }
  await remove('/containers/web?force=1');
  for (const name of ['inner', 'front']) t.match(await remove(`/networks/${name}`), { status: 204 });
});

t.test('whoever ran through all of it has what it had', async (t) => {
  const { State, NetworkSettings } = await daemon.inspect('witness');
  t.same([State, NetworkSettings], [witness.State, witness['NetworkSettings']]);
  await remove('/containers/witness?force=1');
  await agrees(t, 'in the end');
});
