/** Every command by the words that reach it. */

export interface CommandEntry {
  /** The ways to call it; the first is the one that help shows. */
  readonly paths: readonly string[];
  readonly summary: string;
  /** Heading in the list of commands. */
  readonly group: CommandGroup;
}

export type CommandGroup = 'Common commands' | 'Containers' | 'Networks' | 'Images';

/** Words in front of other commands. */
export const COMMAND_GROUPS: Readonly<Record<string, string>> = {
  container: 'Manage containers',
  image: 'Manage images',
  network: 'Manage networks',
  system: 'Look after the daemon',
};

export const COMMANDS: readonly CommandEntry[] = [
  {
    paths: ['run', 'container run'],
    summary: 'Create and run a new container from an image',
    group: 'Common commands',
  },
  {
    paths: ['ps', 'container ls', 'container list', 'container ps'],
    summary: 'List containers',
    group: 'Common commands',
  },
  {
    paths: ['logs', 'container logs'],
    summary: 'Fetch the logs of a container',
    group: 'Common commands',
  },
  {
    paths: ['images', 'image ls', 'image list'],
    summary: 'List images',
    group: 'Common commands',
  },
  {
    paths: ['version'],
    summary: 'Show the version of client and daemon',
    group: 'Common commands',
  },
  {
    paths: ['info', 'system info'],
    summary: 'Display system-wide information',
    group: 'Common commands',
  },
  {
    paths: ['create', 'container create'],
    summary: 'Create a new container',
    group: 'Containers',
  },
  {
    paths: ['start', 'container start'],
    summary: 'Start one or more stopped containers',
    group: 'Containers',
  },
  {
    paths: ['attach', 'container attach'],
    summary: 'Attach local standard input, output, and error streams to a running container',
    group: 'Containers',
  },
  {
    paths: ['stop', 'container stop'],
    summary: 'Stop one or more running containers',
    group: 'Containers',
  },
  {
    paths: ['restart', 'container restart'],
    summary: 'Restart one or more containers',
    group: 'Containers',
  },
  {
    paths: ['kill', 'container kill'],
    summary: 'Kill one or more running containers',
    group: 'Containers',
  },
  {
    paths: ['wait', 'container wait'],
    summary: 'Block until one or more containers stop, then print their exit codes',
    group: 'Containers',
  },
  {
    paths: ['rm', 'container rm', 'container remove'],
    summary: 'Remove one or more containers',
    group: 'Containers',
  },
  {
    paths: ['rename', 'container rename'],
    summary: 'Rename a container',
    group: 'Containers',
  },
  {
    paths: ['inspect', 'container inspect', 'image inspect'],
    summary: 'Return low-level information on containers, images and networks',
    group: 'Containers',
  },
  {
    paths: ['top', 'container top'],
    summary: 'Display the running processes of a container',
    group: 'Containers',
  },
  {
    paths: ['stats', 'container stats'],
    summary: 'Display a live stream of container resource usage statistics',
    group: 'Containers',
  },
  {
    paths: ['diff', 'container diff'],
    summary: "Inspect changes to files or directories on a container's filesystem",
    group: 'Containers',
  },
  {
    paths: ['export', 'container export'],
    summary: "Export a container's filesystem as a tar archive",
    group: 'Containers',
  },
  {
    paths: ['commit', 'container commit'],
    summary: "Create a new image from a container's changes",
    group: 'Containers',
  },
  {
    paths: ['container prune'],
    summary: 'Remove all stopped containers',
    group: 'Containers',
  },
  {
    paths: ['port', 'container port'],
    summary: 'List port mappings or a specific mapping for the container',
    group: 'Containers',
  },
  {
    paths: ['network create'],
    summary: 'Create a network',
    group: 'Networks',
  },
  {
    paths: ['network ls', 'network list'],
    summary: 'List networks',
    group: 'Networks',
  },
  {
    paths: ['network inspect'],
    summary: 'Display detailed information on one or more networks',
    group: 'Networks',
  },
  {
    paths: ['network connect'],
    summary: 'Connect a container to a network',
    group: 'Networks',
  },
  {
    paths: ['network disconnect'],
    summary: 'Disconnect a container from a network',
    group: 'Networks',
  },
  {
    paths: ['network rm', 'network remove'],
    summary: 'Remove one or more networks',
    group: 'Networks',
  },
  {
    paths: ['network prune'],
    summary: 'Remove all unused networks',
    group: 'Networks',
  },
  {
    paths: ['load', 'image load'],
    summary: 'Load an image from a tar archive or STDIN',
    group: 'Images',
  },
  {
    paths: ['import', 'image import'],
    summary: 'Import the contents from a tarball to create a filesystem image',
    group: 'Images',
  },
  {
    paths: ['save', 'image save'],
    summary: 'Save one or more images to a tar archive (streamed to STDOUT by default)',
    group: 'Images',
  },
  {
    paths: ['tag', 'image tag'],
    summary: 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
    group: 'Images',
  },
  {
    paths: ['rmi', 'image rm', 'image remove'],
    summary: 'Remove one or more images',
    group: 'Images',
  },
  {
    paths: ['history', 'image history'],
    summary: 'Show the history of an image',
    group: 'Images',
  },
  {
    paths: ['image prune'],
    summary: 'Remove unused images',
    group: 'Images',
  },
  {
    paths: ['pull', 'image pull'],
    summary: 'Download an image from a registry',
    group: 'Images',
  },
  {
    paths: ['push', 'image push'],
    summary: 'Upload an image to a registry',
    group: 'Images',
  },
  {
    paths: ['login'],
    summary: 'Authenticate to a registry',
    group: 'Images',
  },
  {
    paths: ['logout'],
    summary: 'Log out from a registry',
    group: 'Images',
  },
  {
    paths: ['search'],
    summary: 'Search Docker Hub for images (not supported)',
    group: 'Images',
  },
  {
    paths: ['events', 'system events'],
    summary: 'Get real time events from the server',
    group: 'Containers',
  },
  {
    paths: ['system df'],
    summary: 'Show disk usage',
    group: 'Images',
  },
  {
    paths: ['system check'],
    summary: 'Verify what the daemon keeps, and mend it',
    group: 'Images',
  },
];

/** Commands of Docker that tsd does not have yet: they are answered with that instead of "unknown command". */
export const COMMANDS_TO_COME: ReadonlySet<string> = new Set([
  'build',
  'cp',
  'exec',
  'pause',
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
