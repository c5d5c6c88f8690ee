/** POST /images/create, with the user's credentials for the registry. */
import { type ImageReference, repositoryName } from '@tsd/shared/image-reference';
import type { CommandContext } from '../command.ts';
import { registryAuthHeaders } from '../credentials/registry-auth.ts';
import type { Output } from '../output/output.ts';
import { showProgress } from '../output/progress-messages.ts';

export interface PullOptions {
  /** Where the progress is shown. */
  readonly output: Output;
  readonly quiet: boolean;
  readonly platform?: string | undefined;
}

/** Pulls the tag or the digest of a reference, or all tags where it has neither. Throws ApiError, CliError. */
export async function pullImage(
  context: CommandContext,
  reference: ImageReference,
  { output, quiet, platform }: PullOptions,
): Promise<void> {
  const response = await context.client.request({
    method: 'POST',
    path: '/images/create',
    query: { fromImage: repositoryName(reference), tag: reference.digest ?? reference.tag, platform },
    headers: await registryAuthHeaders(context, reference),
  });
  await showProgress(response, { output, quiet });
}
