/** Where save and export write, by what is there already: nothing but a regular file is ever replaced. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { startFakeDaemon } from './support/fake-daemon.ts';
import { type RunResult, runInProcess } from './support/run-tsdctl.ts';

const VERBS = [
  { verb: 'save', failure: 'failed to save image', archive: 'archive of an image' },
  { verb: 'export', failure: 'failed to export container', archive: 'archive of a container' },
] as const;

for (const { verb, failure, archive } of VERBS) {
  t.test(verb, async (t) => {
    const folder = t.testdir();
    const daemon = await startFakeDaemon(t, {
      routes: {
        'GET /images/get': (_request, response) => void response.writeHead(200).end(archive),
        'GET /containers/web/export': (_request, response) => void response.writeHead(200).end(archive),
      },
    });
    const write = (path: string): Promise<RunResult> => runInProcess(['-H', daemon.host, verb, '-o', path, 'web']);
    const done = { exitCode: 0, stdout: '', stderr: '' };
    const refused = (what: string): RunResult => ({
      exitCode: 1,
      stdout: '',
      stderr: `tsdctl: ${failure}: cannot write to ${what}\n`,
    });

    const notRoot = process.getuid?.() === 0 ? false : 'device nodes are made by root';
    t.test('a device stays what it is', { skip: notRoot }, async (t) => {
      const character = join(folder, 'character');
      const block = join(folder, 'block');
      execFileSync('mknod', [character, 'c', '1', '3']);
      execFileSync('mknod', [block, 'b', '7', '200']);
      const link = join(folder, 'to-device');
      symlinkSync('character', link);
      t.strictSame(await write(character), refused('a character device file'));
      t.strictSame(await write(block), refused('a block device file'));
      t.strictSame(await write(link), refused('a character device file'));
      t.ok(lstatSync(character).isCharacterDevice());
      t.ok(lstatSync(block).isBlockDevice());
    });

    t.test('a socket and a directory stay what they are', async (t) => {
      const path = join(folder, 'socket');
      const server = createServer().listen(path);
      await once(server, 'listening');
      t.teardown(() => server.close());
      t.strictSame(await write(path), refused('a socket'));
      t.ok(lstatSync(path).isSocket());
      mkdirSync(join(folder, 'directory'));
      t.strictSame(await write(join(folder, 'directory')), refused('a directory'));
    });

    t.test('a pipe gets the archive', async (t) => {
      const path = join(folder, 'pipe');
      execFileSync('mkfifo', [path]);
      const reader = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'inherit'] });
      const read: Buffer[] = [];
      reader.stdout.on('data', (chunk: Buffer) => read.push(chunk));
      const closed = once(reader, 'close');
      t.strictSame(await write(path), done);
      await closed;
      t.equal(Buffer.concat(read).toString(), archive);
      t.ok(lstatSync(path).isFIFO());
    });

    t.test('behind a symbolic link is written', async (t) => {
      mkdirSync(join(folder, 'elsewhere'));
      writeFileSync(join(folder, 'elsewhere/old.tar'), 'old');
      symlinkSync('elsewhere/old.tar', join(folder, 'link'));
      symlinkSync('link', join(folder, 'link-to-link'));
      t.strictSame(await write(join(folder, 'link-to-link')), done);
      t.equal(readlinkSync(join(folder, 'link-to-link')), 'link');
      t.equal(readlinkSync(join(folder, 'link')), 'elsewhere/old.tar');
      t.equal(readFileSync(join(folder, 'elsewhere/old.tar'), 'utf8'), archive);
      symlinkSync('elsewhere/new.tar', join(folder, 'to-nothing'));
      t.strictSame(await write(join(folder, 'to-nothing')), done);
      t.equal(readlinkSync(join(folder, 'to-nothing')), 'elsewhere/new.tar');
      t.equal(readFileSync(join(folder, 'elsewhere/new.tar'), 'utf8'), archive);
      t.strictSame(readdirSync(join(folder, 'elsewhere')).sort(), ['new.tar', 'old.tar']);
      symlinkSync('round', join(folder, 'round'));
      t.match(await write(join(folder, 'round')), { exitCode: 1, stderr: /too many (levels of )?symbolic links/ });
    });

    t.test('nothing is asked of the daemon where it cannot be written', async (t) => {
      const before = daemon.requests.length;
      t.match(await write(join(folder, 'no/such/x.tar')), {
        exitCode: 1,
        stderr: `tsdctl: ${failure}: invalid output path: `,
      });
      t.equal(daemon.requests.length, before);
    });
  });
}
