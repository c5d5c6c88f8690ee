/** A daemon whose environment names a proxy: registries that only the proxy finds, HTTPS and HTTP, pushed to and pulled from. */
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { startHostileRegistry } from './support/hostile-registry.ts';
import { startProxy } from './support/proxy.ts';
import { registryMissing, startRegistry } from './support/registry.ts';

const missing = registryMissing();
if (missing !== false) {
  t.plan(0, missing);
  process.exit();
}

const NAME = 'registry.test';
const secure = await startRegistry({ tlsNames: [NAME] });
t.teardown(() => secure.remove());
const plain = await startHostileRegistry();
t.teardown(() => plain.remove());
const proxy = await startProxy();
t.teardown(() => proxy.remove());
const secureHost = `${NAME}:${secure.port}`;
const plainHost = plain.host.replace(/^[^:]+/, NAME);
for (const name of ['http_proxy', 'https_proxy']) {
  process.env[name] = `http://someone:pass%20word@127.0.0.1:${proxy.port}`;
}
delete process.env['no_proxy'];
process.env['SSL_CERT_FILE'] = secure.authorityFile;
const daemon = await startDaemon({ args: ['--insecure-registry', plainHost] });
t.teardown(() => daemon.remove());
await daemon.load();

const PASSWORD = ` Basic ${Buffer.from('someone:pass word').toString('base64')}`;

for (const [scheme, host] of [
  ['https', secureHost],
  ['http', plainHost],
] as const) {
  t.test(`${scheme}: push, rmi, pull`, async (t) => {
    const image = `${host}/app:1`;
    await daemon.tsdctl.output('tag', 'busybox:latest', image);
    for (const verb of ['push', 'rmi', 'pull']) {
      proxy.asked.length = 0;
      const { code, stderr } = await daemon.tsdctl(verb, image);
      t.equal(code, 0, `${verb}: ${stderr}`);
      // Through HTTPS the pull has the connections of the push.
      if (verb === 'rmi' || (scheme === 'https' && verb === 'pull')) continue;
      const expected =
        scheme === 'https' ? `CONNECT ${host}${PASSWORD}` : new RegExp(`^[A-Z]+ http://${host}/v2/app/.*${PASSWORD}$`);
      t.match(proxy.asked.at(-1), expected, `${verb} goes through the proxy`);
    }
  });
}

t.test('loopback is reached without it', async (t) => {
  proxy.asked.length = 0;
  const { code, stderr } = await daemon.tsdctl('pull', `${plain.host}/app:1`);
  t.equal(code, 0, stderr);
  t.strictSame(proxy.asked, []);
});

t.test('the password is not logged', async (t) => {
  t.notMatch(daemon.log(), /pass(%20| )word/);
});
