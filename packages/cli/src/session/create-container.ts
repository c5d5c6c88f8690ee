/** POST /containers/create with what belongs to it on the client: warnings, --cidfile and a missing image. */
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import type { ContainerCreateResponse } from '@tsd/shared/api-containers';
import { familiarString, parseReference, withDefaultTag } from '@tsd/shared/image-reference';
import { ApiError } from '../api/api-error.ts';
import { CliError, UsageError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import type { CreateRequest } from '../request/create-request.ts';
import { reasonOf } from './client-source.ts';

const PULL_POLICIES: ReadonlySet<string> = new Set(['always', 'missing', 'never']);

/** Creates the container and returns its id. Throws ApiError, CliError. */
export async function createContainer(
  context: CommandContext,
  request: CreateRequest,
  flags: ParsedFlags,
): Promise<string> {
  const pull = flags.string('pull') ?? 'missing';
  if (!PULL_POLICIES.has(pull)) {
    throw new UsageError(`invalid pull option: '${pull}': must be one of "always", "missing" or "never"`);
  }
  const idFile = openIdFile(flags.string('cidfile'));
  try {
    if (pull === 'always') await pullMissing(context, request, flags);
    const created = await createOrPull(context, request, flags, pull === 'missing');
    for (const warning of created.Warnings ?? []) context.stderr.write(`WARNING: ${warning}\n`);
    idFile?.write(created.Id);
    return created.Id;
  } catch (error) {
    idFile?.discard();
    throw error;
  }
}

async function createOrPull(
  context: CommandContext,
  request: CreateRequest,
  flags: ParsedFlags,
  mayPull: boolean,
): Promise<ContainerCreateResponse> {
  const create = (): Promise<ContainerCreateResponse> =>
    context.client.json<ContainerCreateResponse>({
      method: 'POST',
      path: '/containers/create',
      query: { name: request.name, platform: request.platform },
      json: request.body,
    });
  try {
    return await create();
  } catch (error) {
    if (!mayPull || !isImageMissing(error)) throw error;
    if (!flags.bool('quiet'))
      context.stderr.write(`Unable to find image '${familiarString(imageOf(request))}' locally\n`);
  }
  await pullMissing(context, request, flags);
  return create();
}

/** Whether a pull may help: there is no such image, or only another platform's. Nothing else that is missing is an image. */
function isImageMissing(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    error.status === 404 &&
    /no such image|^image with reference .* was found but its platform .* does not match/i.test(error.detail)
  );
}

async function pullMissing(context: CommandContext, request: CreateRequest, flags: ParsedFlags): Promise<void> {
  const { pullImage } = await import('./pull-image.ts');
  await pullImage(context, imageOf(request), {
    platform: request.platform,
    output: context.stderr,
    quiet: flags.bool('quiet'),
  });
}

function imageOf(request: CreateRequest): ReturnType<typeof parseReference> {
  return withDefaultTag(parseReference(request.body.Image));
}

interface IdFile {
  write(id: string): void;
  discard(): void;
}

/** The file is made before the container, so that two runs cannot use the same one. */
function openIdFile(path: string | undefined): IdFile | undefined {
  if (path === undefined || path === '') return undefined;
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx', 0o644);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new CliError(`container ID file found, make sure the other container isn't running or delete ${path}`, {
        exitCode: 125,
        cause: error,
      });
    }
    throw new CliError(`failed to create the container ID file: open ${path}: ${reasonOf(error)}`, {
      exitCode: 125,
      cause: error,
    });
  }
  return {
    write(id) {
      writeSync(descriptor, id);
      closeSync(descriptor);
    },
    discard() {
      closeSync(descriptor);
      unlinkSync(path);
    },
  };
}
