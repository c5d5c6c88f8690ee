/** How bodies are read and checked: as leniently as dockerd does, streams unread, JSON strictly typed. */
import { TsdError } from '@tsd/shared/errors';
import type { FastifyInstance, FastifyRequest, FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { Value } from 'typebox/value';

/** The largest JSON body, bytes. A create request with thousands of labels and mounts is far below. */
export const MAX_JSON_BYTES = 8 * 1024 * 1024;

/**
 * Registers the parsers. JSON becomes a value (nothing for an empty body); every other content type leaves the raw
 * stream in `request.body`. dockerd too ignores the type where an endpoint reads no JSON (`text/plain` on attach, on
 * import and on PUT archive).
 */
export function registerBodyParsers(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'ignore');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer', bodyLimit: MAX_JSON_BYTES },
    (request, body, done) => {
      if (body.length === 0) {
        done(null, undefined);
        return;
      }
      const text = body.toString('utf8');
      parseJson(request, text, (error, value) => {
        done(error === null ? null : new TsdError('bad_parameter', `invalid JSON: ${jsonMistake(text, error)}`), value);
      });
    },
  );
  app.addContentTypeParser('*', (request, payload, done) => {
    if (request.routeOptions.schema?.body !== undefined) {
      const type = request.headers['content-type'] ?? '';
      done(
        new TsdError('bad_parameter', `unsupported Content-Type header (${type}): must be 'application/json'`),
        undefined,
      );
    } else {
      done(null, payload);
    }
  });
}

/** What V8 says is wrong, and where: Fastify keeps that to itself. Its own refusals (`__proto__`) stay as they are. */
function jsonMistake(text: string, error: Error): string {
  try {
    JSON.parse(text);
    return error.message;
  } catch (mistake) {
    return mistake instanceof Error ? mistake.message : error.message;
  }
}

/**
 * The body of an upload (application/x-tar and the like), not buffered. A reader that stops early leaves the connection
 * open for the answer. Throws bad_parameter where there is none and, from the stream, where the client goes away.
 */
export function uploadStream(request: FastifyRequest): AsyncIterable<Uint8Array> {
  if (request.body === request.raw) return untilGone(request.raw.iterator({ destroyOnReturn: false }));
  throw new TsdError('bad_parameter', 'the request has no body: send the archive as application/x-tar');
}

async function* untilGone(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* chunks;
  } catch (error) {
    throw new TsdError('bad_parameter', 'the client went away before the end of the archive', { cause: error });
  }
}

/**
 * Checks bodies as they are, and queries and path parameters after conversion from text. The error names the field:
 * "invalid value for HostConfig.Memory: must be integer".
 */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // Compiled at its first use: most endpoints of a daemon are never called, and a compiled schema takes memory.
  let validator: Validator | undefined;
  return (value: unknown) => {
    validator ??= Compile(schema);
    const converted = httpPart === 'body' ? value : Value.Convert(schema, value);
    if (validator.Check(converted)) return { value: converted };
    return { error: describeMismatch(validator.Errors(converted), httpPart) };
  };
};

interface Mismatch {
  readonly instancePath: string;
  readonly message: string;
}

/** Of all branches of the schema that failed, the deepest names the field; `null` alternatives say nothing to a user. */
function describeMismatch(mismatches: readonly Mismatch[], httpPart: string | undefined): TsdError {
  const telling = mismatches.filter(({ message }) => message !== 'must be null' && !message.includes('anyOf'));
  let deepest = telling[0] ?? mismatches[0];
  for (const mismatch of telling) {
    if (mismatch.instancePath.split('/').length > (deepest?.instancePath.split('/').length ?? 0)) deepest = mismatch;
  }
  const path = deepest?.instancePath ?? '';
  const expectations = [
    ...new Set(telling.filter(({ instancePath }) => instancePath === path).map(({ message }) => message)),
  ].join(' or ');
  const field = path.slice(1).split('/').map(unescapePointer).join('.');
  const part = httpPart === 'querystring' ? 'query parameter ' : httpPart === 'params' ? 'path parameter ' : '';
  const name = field === '' ? `the ${httpPart ?? 'body'}` : part + field;
  return new TsdError('bad_parameter', `invalid value for ${name}: ${expectations}`);
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
