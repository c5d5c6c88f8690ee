/** What a user should know of bind mounts before the container starts. */
import { existsSync } from 'node:fs';
import type { ContainerCreateBody } from '@tsd/shared/api-containers';
import { TsdError } from '@tsd/shared/errors';
import type { ContainerDeps } from './container-deps.ts';
import { type MountRequest, parseMountRequests } from './container-mounts.ts';
import { normalizeHostConfig } from './host-config.ts';

/** Warnings for the create response. What is wrong with the configuration is createContainer's to say. */
export async function bindWarnings(
  { idmapProbe }: Pick<ContainerDeps, 'idmapProbe'>,
  { HostConfig: wire }: ContainerCreateBody,
): Promise<readonly string[]> {
  if (!wire || wire.UsernsMode === 'host' || wire.Privileged) return [];
  const warnings: string[] = [];
  for (const request of requestsOf(wire)) {
    if (request.type !== 'bind' || !existsSync(request.source) || (await idmapProbe(request.source))) continue;
    warnings.push(
      `The file system of ${request.source} cannot map user ids: its files belong to nobody in the container, whose root has no more rights to them than anybody. Use --userns=host, or a directory on a file system that can (ext4, XFS, btrfs, tmpfs).`,
    );
  }
  return warnings;
}

function requestsOf(wire: NonNullable<ContainerCreateBody['HostConfig']>): readonly MountRequest[] {
  try {
    return parseMountRequests(normalizeHostConfig(wire));
  } catch (error) {
    if (error instanceof TsdError) return [];
    throw error;
  }
}
