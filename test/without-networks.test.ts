/** A host that cannot have container networks: the daemon says why, and runs what needs none. */
import t from 'tap';
import { startDaemon } from './support/daemon.ts';

const daemon = await startDaemon({
  before: ['setpriv', '--inh-caps', '-net_admin', '--bounding-set', '-net_admin'],
});
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;

const REASON = /this host cannot have container networks: .*CAP_NET_ADMIN; --network host and --network none work/;

t.test('the log says it once, and every start that asks for a network', async (t) => {
  t.match(daemon.log(), /containers have no networks but host and none: .*CAP_NET_ADMIN/);
  t.match(await tsdctl('run', '--rm', 'busybox', 'true'), { code: 125, stderr: REASON });
  t.match(await tsdctl('network', 'create', 'front'), { code: 1, stderr: REASON });
  t.match(await tsdctl.output('network', 'ls', '--format', '{{.Name}}'), /^bridge\nhost\nnone$/);
});

t.test('host and none work', async (t) => {
  for (const network of ['host', 'none']) {
    t.match(await tsdctl('run', '--rm', '--network', network, 'busybox', 'echo', 'hi'), { code: 0, stdout: 'hi\n' });
  }
  t.equal(await tsdctl.output('ps', '-aq'), '', 'nothing is left of the starts that failed');
});
