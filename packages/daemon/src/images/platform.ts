/**
 * Platforms of images: operating system, architecture and its variant, named as Go names them.
 * OCI image-spec, "image index"; Docker's `os[/arch[/variant]]`.
 */
import { TsdError } from '@tsd/shared/errors';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', loong64: 'loong64' };
const ARCHITECTURE_ALIASES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  i386: '386',
  i686: '386',
  aarch64: 'arm64',
  armhf: 'arm',
  armel: 'arm',
};

/** What this host runs. */
export const HOST_PLATFORM: Platform = Object.freeze({
  os: 'linux',
  architecture: GO_ARCHITECTURES[process.arch] ?? process.arch,
});

/**
 * Reads `os[/architecture[/variant]]`, or an architecture alone, as docker's `--platform` takes it.
 *
 * @throws TsdError `bad_parameter` when it is neither.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) {
    throw new TsdError('bad_parameter', `invalid platform "${text}": expected os[/architecture[/variant]]`);
  }
  const [first = '', second, third] = parts;
  if (second === undefined) {
    if (first === 'linux') return HOST_PLATFORM;
    if (isArchitecture(first)) return normalizePlatform({ os: HOST_PLATFORM.os, architecture: first });
    return { os: first, architecture: HOST_PLATFORM.architecture };
  }
  return normalizePlatform({ os: first, architecture: second, variant: third });
}

/** `linux/amd64`, `linux/arm/v7`. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, ...(platform.variant ? [platform.variant] : [])].join('/');
}

/** Aliases resolved and default variants (arm64's v8, amd64's v1) left out. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase();
  const name = platform.architecture.toLowerCase();
  const architecture = ARCHITECTURE_ALIASES[name] ?? name;
  const variant = platform.variant?.toLowerCase();
  const isDefault =
    !variant ||
    (architecture === 'arm64' && (variant === 'v8' || variant === '8')) ||
    (architecture === 'amd64' && variant === 'v1');
  return isDefault ? { os, architecture } : { os, architecture, variant };
}

/** Whether an image for `offered` serves someone who asks for `wanted`. A variant matters only when one is asked for. */
export function platformMatches(wanted: Platform, offered: Platform): boolean {
  const want = normalizePlatform(wanted);
  const offer = normalizePlatform(offered);
  if (want.os !== offer.os || want.architecture !== offer.architecture) return false;
  return want.variant === undefined || want.variant === offer.variant;
}

function isArchitecture(name: string): boolean {
  return (
    name in ARCHITECTURE_ALIASES ||
    ['amd64', '386', 'arm64', 'arm', 'riscv64', 'ppc64le', 's390x', 'loong64', 'mips64le'].includes(name)
  );
}
