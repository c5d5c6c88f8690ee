/** A real registry (Debian's docker-registry) on loopback: plain, or with TLS and passwords. Its storage goes with it. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './client.ts';
import { eventually } from './eventually.ts';
import { TEMPORARY_PREFIX } from './leaks.ts';

export interface Registry {
  /** `127.0.0.1:PORT`: the domain of its images. */
  readonly host: string;
  readonly port: number;
  /** `http://…` or `https://…`. */
  readonly url: string;
  /** Certificate of the authority that signed the registry's own; with TLS only. */
  readonly authorityFile: string | undefined;
  /** What it was asked since it started, `GET /v2/app/manifests/1 200` each. */
  requests(): readonly string[];
  /** skopeo with what this registry needs to be reached: `skopeo('inspect', 'docker://…')`. Throws when it fails. */
  skopeo(...args: string[]): Promise<string>;
  remove(): Promise<void>;
}

export interface RegistryOptions {
  /** Serve HTTPS by a certificate for these names and 127.0.0.1, signed by an authority made for it. */
  readonly tlsNames?: readonly string[];
  /** Who may use it (htpasswd). */
  readonly user?: { readonly name: string; readonly password: string };
}

const PROGRAM = '/usr/bin/docker-registry';
const READY_DEADLINE_MS = 20_000;

/** Why {@link startRegistry} cannot work here, or false. For tap's `skip`. */
export function registryMissing(): string | false {
  if (!existsSync(PROGRAM)) return 'docker-registry is not installed';
  return existsSync('/usr/bin/skopeo') ? false : 'skopeo is not installed';
}

/** Starts a registry on a free port; call `remove()` when done. */
export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  const logFile = join(directory, 'log');
  const tls = options.tlsNames === undefined ? undefined : makeCertificates(directory, options.tlsNames);
  const config: Record<string, unknown> = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: join(directory, 'storage') }, delete: { enabled: true } },
    http: { addr: '127.0.0.1:0', ...(tls === undefined ? {} : { tls: { certificate: tls.chain, key: tls.key } }) },
  };
  if (options.user !== undefined) {
    const path = join(directory, 'htpasswd');
    const { name, password } = options.user;
    writeFileSync(path, execFileSync('htpasswd', ['-niB', name], { input: password }));
    config['auth'] = { htpasswd: { realm: 'tests', path } };
  }
  // YAML is a superset of JSON.
  writeFileSync(join(directory, 'config.yml'), JSON.stringify(config));
  const log = openSync(logFile, 'a');
  const child = spawn(PROGRAM, ['serve', join(directory, 'config.yml')], { stdio: ['ignore', log, log] });
  closeSync(log);
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const remove = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const port = await eventually(
      () => {
        if (child.exitCode !== null) throw new Error(`the registry ended with ${child.exitCode}`);
        return Number(/listening on 127\.0\.0\.1:(\d+)/.exec(readFileSync(logFile, 'utf8'))?.[1] ?? 0) || undefined;
      },
      { what: 'the registry listens', deadlineMs: READY_DEADLINE_MS },
    );
    const skopeoFlags = tls === undefined ? ['--tls-verify=false'] : ['--cert-dir', tls.directory];
    return {
      host: `127.0.0.1:${port}`,
      port,
      url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}`,
      authorityFile: tls?.authority,
      requests: () =>
        [...readFileSync(logFile, 'utf8').matchAll(/"([A-Z]+ \S+) HTTP\/[\d.]+" (\d+) /g)].map(
          ([, request, status]) => `${request} ${status}`,
        ),
      skopeo: async (command, ...args) => {
        const sides = command === 'copy' ? ['--src-', '--dest-'] : ['--'];
        const flags = sides.flatMap((side) => skopeoFlags.map((flag) => flag.replace(/^--/, side)));
        const { code, stdout, stderr } = await run('skopeo', [command ?? '', ...flags, ...args]);
        if (code !== 0) throw new Error(`skopeo ${command} ${args.join(' ')}: ${stderr}`);
        return stdout;
      },
      remove,
    };
  } catch (error) {
    const said = readFileSync(logFile, 'utf8');
    await remove();
    throw new Error(`the registry did not start:\n${said}`, { cause: error });
  }
}

interface Certificates {
  /** Holds nothing but the authority's certificate: for clients' --cert-dir. */
  readonly directory: string;
  readonly authority: string;
  readonly chain: string;
  readonly key: string;
}

/** An authority and a certificate that it signed. */
function makeCertificates(parent: string, names: readonly string[]): Certificates {
  const directory = mkdtempSync(join(parent, 'certificates-'));
  const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: parent, stdio: 'pipe' });
  const authority = join(directory, 'ca.crt');
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'];
  const ca = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'ca.key',
    '-out',
    authority,
    '-subj',
    '/CN=tsd tests',
    '-days',
    '2',
    ...ca,
  );
  openssl('req', ...newKey, '-keyout', 'server.key', '-out', 'server.csr', '-subj', `/CN=${names[0] ?? '127.0.0.1'}`);
  const alternatives = ['IP:127.0.0.1', ...names.map((name) => `DNS:${name}`)].join(',');
  writeFileSync(join(parent, 'server.ext'), `subjectAltName=${alternatives}\n`);
  const signer = ['-CA', authority, '-CAkey', 'ca.key', '-CAcreateserial'];
  openssl('x509', '-req', '-in', 'server.csr', ...signer, '-out', 'server.crt', '-days', '2', '-extfile', 'server.ext');
  return { directory, authority, chain: join(parent, 'server.crt'), key: join(parent, 'server.key') };
}
