import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { spreadSubdirectories } from '../src/os/spread-directories.ts';

const EXT4_SUPER_MAGIC = 0xef53;
const TMPFS_MAGIC = 0x0102_1994;

function directoryOf(t: Test, parent: string, magic: number): string {
  if (statfsSync(parent).type !== magic) t.pass(`${parent} is on another file system`);
  const directory = mkdtempSync(join(parent, 'tsd-spread-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

t.test('ext4 is asked, once and again', (t) => {
  const directory = directoryOf(t, tmpdir(), EXT4_SUPER_MAGIC);
  if (statfsSync(directory).type === EXT4_SUPER_MAGIC) {
    t.ok(spreadSubdirectories(directory));
    t.ok(spreadSubdirectories(directory));
    t.match(execFileSync('lsattr', ['-d', directory], { encoding: 'utf8' }), /^\S*T/);
  }
  t.end();
});

t.test('a file system without the flag has nothing to be asked for', (t) => {
  const directory = directoryOf(t, '/dev/shm', TMPFS_MAGIC);
  if (statfsSync(directory).type === TMPFS_MAGIC) t.notOk(spreadSubdirectories(directory));
  t.end();
});

t.test('a directory that is not there', (t) => {
  t.throws(() => spreadSubdirectories('/nonexistent/directory'), { code: 'ENOENT' });
  t.end();
});
