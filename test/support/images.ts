/** Images for tests, made from Debian packages; nothing is fetched from a registry. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { repository } from './client.ts';
import { TEMPORARY_PREFIX } from './leaks.ts';

/** Outlives a checkout: what takes long to make is kept here. */
export const cacheDirectory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tsd-test');
const MMDEBSTRAP = '/usr/bin/mmdebstrap';

/** Path of a docker-archive of `busybox:latest`, made when missing or older than the busybox it holds. */
export function busyboxArchive(): string {
  const script = join(repository, 'scripts/busybox-image.sh');
  const path = join(repository, 'build/busybox.tar');
  if (!existsSync(path) || [script, '/bin/busybox'].some((from) => statSync(from).mtimeMs > statSync(path).mtimeMs)) {
    execFileSync('sh', [script, path], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return path;
}

/** Why {@link debianRootTar} cannot work here, or false. For tap's `skip`. */
export function debianRootMissing(): string | false {
  return existsSync(MMDEBSTRAP) || existsSync(debianRootPath()) ? false : 'mmdebstrap is not installed';
}

/** Path of a tar of a Debian root file system with apt (about 170 MB), made once by mmdebstrap. */
export function debianRootTar(): string {
  const path = debianRootPath();
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const partial = `${path}.partial.tar`;
  const mirror = execFileSync('sh', [join(repository, 'scripts/debian-mirror.sh')], { encoding: 'utf8' }).trim();
  execFileSync(
    MMDEBSTRAP,
    ['--quiet', '--mode=root', '--variant=apt', '--include=ca-certificates', 'bookworm', partial, mirror],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  renameSync(partial, path);
  return path;
}

function debianRootPath(): string {
  return join(cacheDirectory, 'debian-bookworm.tar');
}

export interface ArchiveEntry {
  readonly path: string;
  /** Text of a regular file; a directory when missing. */
  readonly text?: string;
  readonly mode?: number;
}

export interface ImageSource {
  readonly tags: readonly string[];
  /** Each layer is a tar, bottom first. */
  readonly layers: readonly Buffer[];
  readonly config?: Readonly<Record<string, unknown>>;
}

/** A layer tar with these entries, made by tar(1). */
export function layerTar(entries: readonly ArchiveEntry[]): Buffer {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  try {
    for (const { path, text, mode } of entries) {
      const at = join(directory, path);
      mkdirSync(text === undefined ? at : dirname(at), { recursive: true });
      if (text !== undefined) writeFileSync(at, text);
      if (mode !== undefined) execFileSync('chmod', [mode.toString(8), at]);
    }
    return execFileSync(
      'tar',
      ['--create', '--directory', directory, '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '.'],
      {
        maxBuffer: 1 << 30,
      },
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The busybox layer as a tar, to stand below others. */
export function busyboxLayer(): Buffer {
  const archive = busyboxArchive();
  const manifest = JSON.parse(extract(archive, 'manifest.json').toString()) as [{ Layers: [string] }];
  return extract(archive, manifest[0].Layers[0]);
}

function extract(archive: string, member: string): Buffer {
  return execFileSync('tar', ['--extract', '--to-stdout', '--file', archive, member], { maxBuffer: 1 << 30 });
}

/** A docker-archive of one image, as `docker save` writes it. */
export function dockerArchive(image: ImageSource): Buffer {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  try {
    const digests = image.layers.map((layer) => createHash('sha256').update(layer).digest('hex'));
    const config = JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: {
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        Cmd: ['sh'],
        ...image.config,
      },
      history: digests.map((digest) => ({
        created: '1970-01-01T00:00:00Z',
        created_by: `layer ${digest.slice(0, 12)}`,
      })),
      rootfs: { type: 'layers', diff_ids: digests.map((digest) => `sha256:${digest}`) },
    });
    const id = createHash('sha256').update(config).digest('hex');
    writeFileSync(join(directory, `${id}.json`), config);
    image.layers.forEach((layer, index) => {
      mkdirSync(join(directory, digests[index] ?? ''), { recursive: true });
      writeFileSync(join(directory, `${digests[index]}/layer.tar`), layer);
    });
    const manifest = [
      { Config: `${id}.json`, RepoTags: image.tags, Layers: digests.map((digest) => `${digest}/layer.tar`) },
    ];
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
    return execFileSync('tar', ['--create', '--directory', directory, '--sort=name', '.'], { maxBuffer: 1 << 30 });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Bytes of the busybox archive. */
export function busyboxArchiveBytes(): Buffer {
  return readFileSync(busyboxArchive());
}
