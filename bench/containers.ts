/** Work of containers and images over the API of any Docker-like engine. */
import type { ApiClient } from '../packages/cli/src/api/api-client.ts';
import { type Api, run } from '../test/support/client.ts';

const NONE = { NetworkMode: 'none' };

async function call(api: Api, method: string, path: string, body?: unknown): Promise<string> {
  const { status, text } = await api.request(method, path, body);
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
  return text;
}

/** Creates a busybox container without a network and returns its id. */
export function create(api: Api, ...command: string[]): Promise<string> {
  return createWith(api, { Cmd: command, HostConfig: NONE });
}

/** Creates a busybox container from fields of Docker's body and returns its id. */
export async function createWith(api: Api, fields: object): Promise<string> {
  const body = { Image: 'busybox', ...fields };
  return (JSON.parse(await call(api, 'POST', '/containers/create', body)) as { Id: string }).Id;
}

export async function start(api: Api, id: string): Promise<void> {
  await call(api, 'POST', `/containers/${id}/start`);
}

/** Waits until it has ended. */
export async function wait(api: Api, id: string): Promise<void> {
  await call(api, 'POST', `/containers/${id}/wait`);
}

/** What a container with a terminal wrote to it: without one there are frames in between. */
export function terminalLog(api: Api, id: string): Promise<string> {
  return call(api, 'GET', `/containers/${id}/logs?stdout=1`);
}

/** Its address on the default network. */
export async function addressOf(api: Api, id: string): Promise<string> {
  const { NetworkSettings } = JSON.parse(await call(api, 'GET', `/containers/${id}/json`)) as {
    NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
  };
  return NetworkSettings.Networks['bridge']?.IPAddress ?? '';
}

/** Host pid of a running container. */
export async function pidOf(api: Api, id: string): Promise<number> {
  const details = JSON.parse(await call(api, 'GET', `/containers/${id}/json`)) as { State: { Pid: number } };
  return details.State.Pid;
}

export async function removeForced(api: Api, id: string): Promise<void> {
  await call(api, 'DELETE', `/containers/${id}?force=1`);
}

/** create → start → wait → remove of `true`, by the client that tsdctl has: Node's own takes a millisecond more for four requests. */
export async function wholeLife(client: ApiClient): Promise<void> {
  const json = { Image: 'busybox', Cmd: ['true'], HostConfig: NONE };
  const { Id } = await client.json<{ Id: string }>({ method: 'POST', path: '/containers/create', json });
  await client.send({ method: 'POST', path: `/containers/${Id}/start` });
  await client.json({ method: 'POST', path: `/containers/${Id}/wait` });
  await client.send({ method: 'DELETE', path: `/containers/${Id}` });
}

export async function list(api: Api): Promise<unknown[]> {
  return JSON.parse(await call(api, 'GET', '/containers/json?all=1')) as unknown[];
}

export async function removeImage(api: Api, name: string): Promise<void> {
  await call(api, 'DELETE', `/images/${name}?force=1`);
}

/** Loads an archive file's stream. */
export async function load(api: Api, archive: NodeJS.ReadableStream): Promise<void> {
  const { status, text } = await api.send('POST', '/images/load', archive, 'application/x-tar');
  if (status !== 200 || text.includes('errorDetail')) throw new Error(`load: ${status} ${text}`);
}

/** Saves an image to nowhere. By curl: a reader in Node.js would take twice as long as the engines. */
export async function save(api: Api, name: string): Promise<void> {
  const url = `http://localhost/images/${name}/get`;
  const args = ['--silent', '--show-error', '--fail', '--unix-socket', api.socketPath, '--output', '/dev/null', url];
  const { code, stderr } = await run('curl', args);
  if (code !== 0) throw new Error(`save: ${stderr}`);
}

/** Pulls `127.0.0.1:PORT/name:tag`. */
export async function pull(api: Api, name: string): Promise<void> {
  await transfer(api, `/images/create?fromImage=${encodeURIComponent(name)}`);
}

/** Pushes an image to the registry in its name. */
export async function push(api: Api, name: string): Promise<void> {
  const colon = name.lastIndexOf(':');
  await transfer(api, `/images/${name.slice(0, colon)}/push?tag=${name.slice(colon + 1)}`);
}

/** Gives an image one more name, `127.0.0.1:PORT/name:tag`. */
export async function tag(api: Api, name: string, newName: string): Promise<void> {
  const colon = newName.lastIndexOf(':');
  await call(api, 'POST', `/images/${name}/tag?repo=${newName.slice(0, colon)}&tag=${newName.slice(colon + 1)}`);
}

/** Pull and push answer 200 and report failures in their stream. */
async function transfer(api: Api, path: string): Promise<void> {
  const emptyCredentials = { 'X-Registry-Auth': Buffer.from('{}').toString('base64url') };
  const { status, text } = await api.request('POST', path, undefined, emptyCredentials);
  if (status !== 200 || text.includes('errorDetail')) throw new Error(`${path}: ${status} ${text.slice(-1000)}`);
}
