/** The program that asks and answers in network tests, and an image that has it. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { repository } from './client.ts';
import type { Daemon } from './daemon.ts';
import { busyboxLayer, dockerArchive } from './images.ts';
import { TEMPORARY_PREFIX } from './leaks.ts';

/** busybox with /bin/net-probe; its ports 80/tcp and 80/udp are exposed. */
export const PROBE_IMAGE = 'net-probe';

/** Path of the static program, built when missing or older than its source. */
export function netProbe(): string {
  const source = join(import.meta.dirname, 'net-probe.c');
  const path = join(repository, 'build/net-probe');
  if (!existsSync(path) || statSync(source).mtimeMs > statSync(path).mtimeMs) {
    mkdirSync(dirname(path), { recursive: true });
    // The linker's warning on getaddrinfo: `files` and `dns` are part of the static library.
    execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-static', '-o', path, source], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  }
  return path;
}

/** Loads {@link PROBE_IMAGE} into a daemon. */
export async function loadProbeImage(daemon: Daemon): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  try {
    const root = join(directory, 'root/bin');
    execFileSync('mkdir', ['-p', root]);
    copyFileSync(netProbe(), join(root, 'net-probe'));
    const layer = execFileSync(
      'tar',
      ['-c', '-C', join(directory, 'root'), '--owner=0', '--group=0', 'bin/net-probe'],
      {
        maxBuffer: 1 << 30,
      },
    );
    const archive = join(directory, 'image.tar');
    const config = { ExposedPorts: { '80/tcp': {}, '80/udp': {} }, Cmd: ['net-probe', 'serve', 'tcp:80', 'udp:80'] };
    writeFileSync(archive, dockerArchive({ tags: [`${PROBE_IMAGE}:latest`], layers: [busyboxLayer(), layer], config }));
    await daemon.load(archive);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
