/** Every command by the words that reach it. A command's module is loaded only when it is used. */
import type { CommandModule } from './command.ts';

export interface CommandEntry {
  /** The ways to call it; the first is the one that help shows. */
  readonly paths: readonly string[];
  readonly summary: string;
  /** Heading in the list of commands. */
  readonly group: CommandGroup;
  load(): Promise<CommandModule>;
}

export type CommandGroup = 'Common commands' | 'Containers' | 'Images';

/** Words in front of other commands. */
export const COMMAND_GROUPS: Readonly<Record<string, string>> = {
  container: 'Manage containers',
  image: 'Manage images',
  system: 'Look at the daemon',
};

export const COMMANDS: readonly CommandEntry[] = [
  {
    paths: ['run', 'container run'],
    summary: 'Create and run a new container from an image',
    group: 'Common commands',
    load: () => import('./commands/run.ts'),
  },
  {
    paths: ['ps', 'container ls', 'container list', 'container ps'],
    summary: 'List containers',
    group: 'Common commands',
    load: () => import('./commands/ps.ts'),
  },
  {
    paths: ['logs', 'container logs'],
    summary: 'Fetch the logs of a container',
    group: 'Common commands',
    load: () => import('./commands/logs.ts'),
  },
  {
    paths: ['images', 'image ls', 'image list'],
    summary: 'List images',
    group: 'Common commands',
    load: () => import('./commands/images.ts'),
  },
  {
    paths: ['version'],
    summary: 'Show the version of client and daemon',
    group: 'Common commands',
    load: () => import('./commands/version.ts'),
  },
  {
    paths: ['info', 'system info'],
    summary: 'Display system-wide information',
    group: 'Common commands',
    load: () => import('./commands/info.ts'),
  },
  {
    paths: ['create', 'container create'],
    summary: 'Create a new container',
    group: 'Containers',
    load: () => import('./commands/create.ts'),
  },
  {
    paths: ['start', 'container start'],
    summary: 'Start one or more stopped containers',
    group: 'Containers',
    load: () => import('./commands/start.ts'),
  },
  {
    paths: ['attach', 'container attach'],
    summary: 'Attach local standard input, output, and error streams to a running container',
    group: 'Containers',
    load: () => import('./commands/attach.ts'),
  },
  {
    paths: ['stop', 'container stop'],
    summary: 'Stop one or more running containers',
    group: 'Containers',
    load: () => import('./commands/stop.ts'),
  },
  {
    paths: ['restart', 'container restart'],
    summary: 'Restart one or more containers',
    group: 'Containers',
    load: () => import('./commands/restart.ts'),
  },
  {
    paths: ['kill', 'container kill'],
    summary: 'Kill one or more running containers',
    group: 'Containers',
    load: () => import('./commands/kill.ts'),
  },
  {
    paths: ['wait', 'container wait'],
    summary: 'Block until one or more containers stop, then print their exit codes',
    group: 'Containers',
    load: () => import('./commands/wait.ts'),
  },
  {
    paths: ['rm', 'container rm', 'container remove'],
    summary: 'Remove one or more containers',
    group: 'Containers',
    load: () => import('./commands/rm.ts'),
  },
  {
    paths: ['rename', 'container rename'],
    summary: 'Rename a container',
    group: 'Containers',
    load: () => import('./commands/rename.ts'),
  },
  {
    paths: ['inspect', 'container inspect', 'image inspect'],
    summary: 'Return low-level information on containers and images',
    group: 'Containers',
    load: () => import('./commands/inspect.ts'),
  },
  {
    paths: ['top', 'container top'],
    summary: 'Display the running processes of a container',
    group: 'Containers',
    load: () => import('./commands/top.ts'),
  },
  {
    paths: ['container prune'],
    summary: 'Remove all stopped containers',
    group: 'Containers',
    load: () => import('./commands/container-prune.ts'),
  },
  {
    paths: ['load', 'image load'],
    summary: 'Load an image from a tar archive or STDIN',
    group: 'Images',
    load: () => import('./commands/load.ts'),
  },
  {
    paths: ['import', 'image import'],
    summary: 'Import the contents from a tarball to create a filesystem image',
    group: 'Images',
    load: () => import('./commands/import.ts'),
  },
  {
    paths: ['save', 'image save'],
    summary: 'Save one or more images to a tar archive (streamed to STDOUT by default)',
    group: 'Images',
    load: () => import('./commands/save.ts'),
  },
  {
    paths: ['tag', 'image tag'],
    summary: 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
    group: 'Images',
    load: () => import('./commands/tag.ts'),
  },
  {
    paths: ['rmi', 'image rm', 'image remove'],
    summary: 'Remove one or more images',
    group: 'Images',
    load: () => import('./commands/rmi.ts'),
  },
  {
    paths: ['history', 'image history'],
    summary: 'Show the history of an image',
    group: 'Images',
    load: () => import('./commands/history.ts'),
  },
  {
    paths: ['image prune'],
    summary: 'Remove unused images',
    group: 'Images',
    load: () => import('./commands/image-prune.ts'),
  },
  {
    paths: ['pull', 'image pull'],
    summary: 'Download an image from a registry',
    group: 'Images',
    load: () => import('./commands/pull.ts'),
  },
];

/** Commands of Docker that tsd does not have yet: they are answered with that instead of "unknown command". */
export const COMMANDS_TO_COME: ReadonlySet<string> = new Set([
  'build',
  'commit',
  'cp',
  'diff',
  'events',
  'exec',
  'export',
  'login',
  'logout',
  'network',
  'pause',
  'port',
  'push',
  'search',
  'stats',
  'unpause',
  'update',
  'volume',
]);

/** The command of these words, and the words that are left; undefined where there is none. */
export function findCommand(
  words: readonly string[],
): { readonly entry: CommandEntry; readonly path: string; readonly rest: readonly string[] } | undefined {
  const [first = '', second = ''] = words;
  const isGroup = Object.hasOwn(COMMAND_GROUPS, first);
  const path = isGroup ? `${first} ${second}` : first;
  const entry = COMMANDS.find(({ paths }) => paths.includes(path));
  return entry === undefined ? undefined : { entry, path, rest: words.slice(isGroup ? 2 : 1) };
}
