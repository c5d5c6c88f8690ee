/** POST /containers/create with what belongs to it on the client: warnings, --cidfile and a missing image. */
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import type { ContainerCreateResponse } from '@tsd/shared/api-containers';
import { familiarString, parseReference, repositoryName, withDefaultTag } from '@tsd/shared/image-reference';
import { ApiError } from '../api/api-error.ts';
import { CliError, UsageError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { showProgress } from '../output/progress-messages.ts';
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
    if (pull === 'always') await pullImage(context, request, flags);
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
    const missing = error instanceof ApiError && error.status === 404 && /no such image/i.test(error.detail);
    if (!missing || !mayPull) throw error;
    context.stderr.write(`Unable to find image '${familiarString(imageOf(request))}' locally\n`);
  }
  await pullImage(context, request, flags);
  return create();
}

async function pullImage(context: CommandContext, request: CreateRequest, flags: ParsedFlags): Promise<void> {
  const reference = imageOf(request);
  try {
    const response = await context.client.request({
      method: 'POST',
      path: '/images/create',
      query: {
        fromImage: repositoryName(reference),
        tag: reference.digest ?? reference.tag,
        platform: request.platform,
      },
    });
    await showProgress(response, { output: context.stderr, quiet: flags.bool('quiet') });
  } catch (error) {
    if (error instanceof ApiError && error.status === 501) {
      throw new CliError(
        `${error.message}\nGet the image from a file instead: "tsdctl load -i FILE" for one of "docker save", ` +
          `or "tsdctl import FILE ${familiarString(reference)}" for a root file system in a tar archive.`,
        { exitCode: 125, cause: error },
      );
    }
    throw error;
  }
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
