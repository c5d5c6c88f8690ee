/** Images in a registry on loopback, for the rows about pulling and pushing. All are made of one Debian. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { debianRootTar } from '../test/support/images.ts';
import { HOST_PLATFORM, type LayoutLayer, writeOciLayout } from '../test/support/oci-layout.ts';
import { type Registry, startRegistry } from '../test/support/registry.ts';

const PARTS = 8;
const LARGE_BYTES = 2e9;

export interface RegistryImages {
  readonly registry: Registry;
  /** Each is made when it is first asked for; they return its name, `127.0.0.1:PORT/debian:one`. */
  readonly oneLayer: () => Promise<string>;
  readonly eightLayers: () => Promise<string>;
  /** At least 2 GB, uncompressed, in layers of one Debian each. */
  readonly large: () => Promise<string>;
}

/** Starts the registry; its images are made in `directory`. */
export async function startRegistryImages(directory: string): Promise<RegistryImages> {
  const registry = await startRegistry();
  const once = (tag: string, layers: () => readonly LayoutLayer[]): (() => Promise<string>) => {
    let made: Promise<string> | undefined;
    const make = async (): Promise<string> => {
      const layout = join(directory, `layout-${tag}`);
      const name = `${registry.host}/debian:${tag}`;
      writeOciLayout(layout, [{ platform: HOST_PLATFORM, layers: layers() }]);
      await registry.skopeo('copy', '--all', '--preserve-digests', `oci:${layout}`, `docker://${name}`);
      rmSync(layout, { recursive: true });
      return name;
    };
    return () => {
      made ??= make();
      return made;
    };
  };
  return {
    registry,
    oneLayer: once('one', () => [{ tar: readFileSync(debianRootTar()), compression: 'gzip' }]),
    eightLayers: once('eight', () => splitDebian(directory).map((tar) => ({ tar, compression: 'gzip' }))),
    large: once('large', () => largeLayers(directory)),
  };
}

/** The Debian as layers of about the same size. */
function splitDebian(directory: string): Buffer[] {
  const root = mkdtempSync(join(directory, 'debian-'));
  execFileSync('tar', ['--extract', '--file', debianRootTar(), '--directory', root, '--numeric-owner']);
  const found = execFileSync('find', ['-mindepth', '1', '-printf', '%s %P\\0'], { cwd: root, maxBuffer: 1 << 26 });
  const files = found
    .toString('latin1')
    .split('\0')
    .filter(Boolean)
    .map((line) => ({ sizeBytes: Number(line.slice(0, line.indexOf(' '))), path: line.slice(line.indexOf(' ') + 1) }));
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const lists: string[][] = Array.from({ length: PARTS }, () => []);
  let seenBytes = 0;
  for (const { sizeBytes, path } of files) {
    lists[Math.min(PARTS - 1, Math.floor((seenBytes / totalBytes) * PARTS))]?.push(path);
    seenBytes += sizeBytes;
  }
  const create = ['--create', '--no-recursion', '--null', '--files-from', '-', '--numeric-owner'];
  const layers = lists.map((list) =>
    execFileSync('tar', create, {
      cwd: root,
      input: Buffer.from(`${list.join('\0')}\0`, 'latin1'),
      maxBuffer: 1 << 30,
    }),
  );
  rmSync(root, { recursive: true });
  return layers;
}

/** Layers that differ in one file before the Debian. A gzip stream may have several members, so Debian is compressed once. */
function largeLayers(directory: string): LayoutLayer[] {
  const debian = readFileSync(debianRootTar());
  const compressedDebian = gzipSync(debian, { level: 6 });
  return Array.from({ length: Math.ceil(LARGE_BYTES / debian.length) }, (_, number) => {
    writeFileSync(join(directory, 'number'), String(number));
    const file = withoutEnd(execFileSync('tar', ['--create', 'number'], { cwd: directory }));
    return {
      tar: Buffer.concat([file, debian]),
      compression: 'gzip',
      compressed: Buffer.concat([gzipSync(file), compressedDebian]),
    };
  });
}

/** A tar without the zero blocks that end it. */
function withoutEnd(tar: Buffer): Buffer {
  const last = tar.findLastIndex((byte) => byte !== 0);
  return tar.subarray(0, Math.ceil((last + 1) / 512) * 512);
}

export function debianMegabytes(): number {
  return Math.round(statSync(debianRootTar()).size / 1e6);
}
