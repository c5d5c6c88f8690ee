/** A Debian root file system from mmdebstrap: imported, and apt works in it, through the default bridge. */
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { debianRootMissing, debianRootTar } from './support/images.ts';

t.test('apt in a Debian container', { skip: debianRootMissing(), timeout: 400_000 }, async (t) => {
  const archive = debianRootTar();
  const daemon = await startDaemon();
  t.teardown(() => daemon.remove());
  const { tsdctl } = daemon;

  const imported = await tsdctl('import', '-c', 'CMD ["bash"]', archive, 'debian:bookworm');
  t.equal(imported.code, 0, imported.stderr);
  t.match(imported.stdout, /^sha256:[0-9a-f]{64}$/m);

  const release = await tsdctl.output(
    'run',
    '--rm',
    '--network',
    'none',
    'debian:bookworm',
    'cat',
    '/etc/debian_version',
  );
  t.match(release, /^12\./);

  // This host's clock may stand far from the mirror's.
  const options = '-o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false -o Dpkg::Use-Pty=0';
  const script = `apt-get ${options} update && apt-get ${options} install -y hello && hello`;
  const installed = await tsdctl.with(
    { timeoutMs: 240_000 },
    ...['run', '--name', 'apt', 'debian:bookworm', 'sh', '-c', script],
  );
  t.equal(installed.code, 0, `${installed.stdout}\n${installed.stderr}`);
  t.match(installed.stdout, /^Hello, world!$/m);
  t.notMatch(installed.stderr, /error|denied|not permitted/i);

  const history = await tsdctl.output('history', '-q', 'debian:bookworm');
  t.equal(history.split('\n').length, 1, 'an imported image has one layer');
  t.equal((await tsdctl('rm', 'apt')).code, 0);
  t.equal((await tsdctl('rmi', 'debian:bookworm')).code, 0);
});
