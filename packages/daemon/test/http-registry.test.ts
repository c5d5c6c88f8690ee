/** POST /auth and the X-Registry-Auth header. */

import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import { pino } from 'pino';
import t from 'tap';
import { decodeRegistryAuth } from '../src/http/registry-credentials.ts';
import { registryRoutes } from '../src/http/routes/registry.ts';
import { createServer } from '../src/http/server.ts';
import type { RegistryCredentials } from '../src/images/registry/remote-repository.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsd-auth-'));
const socketPath = join(directory, 'api.sock');
const asked: { serverAddress: string; credentials: RegistryCredentials }[] = [];
const logged: string[] = [];

const server = await createServer({
  config: { sockets: [socketPath], group: '' },
  log: pino({ level: 'trace' }, { write: (line: string) => logged.push(line) }),
  version: '1.2.3',
  routes: [
    (app) =>
      registryRoutes(app, {
        registry: async () => ({
          async checkCredentials(serverAddress, credentials) {
            asked.push({ serverAddress, credentials });
            if (credentials.password === 'wrong-pass') throw new TsdError('unauthorized', 'incorrect password');
            return credentials.identityToken ?? '';
          },
        }),
      }),
  ],
});
await server.listen();
t.teardown(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

function login(body: unknown): Promise<{ status: number; answer: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const request = httpRequest({ socketPath, path: '/v1.44/auth', method: 'POST', headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, answer: JSON.parse(text) });
    });
    request.on('error', reject);
    request.end(JSON.stringify(body));
  });
}

t.test('/auth asks the registry and keeps nothing', async (t) => {
  t.strictSame(
    await login({ username: 'alice', password: 's3cret-pass', serveraddress: 'localhost:5000', email: '' }),
    {
      status: 200,
      answer: { Status: 'Login Succeeded', IdentityToken: '' },
    },
  );
  t.strictSame(asked.pop(), {
    serverAddress: 'localhost:5000',
    credentials: { username: 'alice', password: 's3cret-pass' },
  });
  t.strictSame(await login({ username: 'alice', identitytoken: 'tok' }), {
    status: 200,
    answer: { Status: 'Login Succeeded', IdentityToken: 'tok' },
  });
  t.equal(asked.pop()?.serverAddress, 'https://index.docker.io/v1/');
  t.strictSame(await login({ username: 'alice', password: 'wrong-pass' }), {
    status: 401,
    answer: { message: 'incorrect password' },
  });
  t.match(await login({ serveraddress: 'localhost:5000', username: '', password: null }), { status: 400 });
  t.match(await login({ username: ['alice'] }), { status: 400, answer: { message: /username/ } });
  t.notMatch(logged.join(''), /s3cret-pass|wrong-pass/, 'the log holds no password');
});

t.test('X-Registry-Auth', async (t) => {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const auth = { username: 'é?>', password: 'p', serveraddress: 'x', email: 'unknown fields are ignored' };
  t.strictSame(decodeRegistryAuth(encode(auth)), { username: 'é?>', password: 'p' });
  t.strictSame(decodeRegistryAuth(`${encode(auth)}==`), { username: 'é?>', password: 'p' });
  t.strictSame(decodeRegistryAuth(Buffer.from(JSON.stringify(auth)).toString('base64')), {
    username: 'é?>',
    password: 'p',
  });
  t.strictSame(decodeRegistryAuth(encode({ identitytoken: 'i', registrytoken: 'r', username: null })), {
    identityToken: 'i',
    registryToken: 'r',
  });
  for (const nothing of [undefined, '', 'e30=', encode(null), encode({ username: '' })]) {
    t.equal(decodeRegistryAuth(nothing), null);
  }
  for (const wrong of ['s3cret', encode([]), encode('x'), encode({ username: 1 })]) {
    t.throws(() => decodeRegistryAuth(wrong), { code: 'bad_parameter', message: /^invalid X-Registry-Auth header: / });
  }
  t.notMatch(String(t.throws(() => decodeRegistryAuth('s3cret'))), /s3cret/);
});
