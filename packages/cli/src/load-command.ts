/** The module of each command, by its first path in the index; loaded only when the command is used. */
import type { CommandModule } from './command.ts';
import type { CommandEntry } from './command-index.ts';

const LOADERS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  run: () => import('./commands/run.ts'),
  ps: () => import('./commands/ps.ts'),
  logs: () => import('./commands/logs.ts'),
  images: () => import('./commands/images.ts'),
  version: () => import('./commands/version.ts'),
  info: () => import('./commands/info.ts'),
  create: () => import('./commands/create.ts'),
  start: () => import('./commands/start.ts'),
  attach: () => import('./commands/attach.ts'),
  stop: () => import('./commands/stop.ts'),
  restart: () => import('./commands/restart.ts'),
  kill: () => import('./commands/kill.ts'),
  wait: () => import('./commands/wait.ts'),
  rm: () => import('./commands/rm.ts'),
  rename: () => import('./commands/rename.ts'),
  inspect: () => import('./commands/inspect.ts'),
  top: () => import('./commands/top.ts'),
  stats: () => import('./commands/stats.ts'),
  diff: () => import('./commands/diff.ts'),
  export: () => import('./commands/export.ts'),
  commit: () => import('./commands/commit.ts'),
  'container prune': () => import('./commands/container-prune.ts'),
  port: () => import('./commands/port.ts'),
  'network create': () => import('./commands/network-create.ts'),
  'network ls': () => import('./commands/network-ls.ts'),
  'network inspect': () => import('./commands/network-inspect.ts'),
  'network connect': () => import('./commands/network-connect.ts'),
  'network disconnect': () => import('./commands/network-disconnect.ts'),
  'network rm': () => import('./commands/network-rm.ts'),
  'network prune': () => import('./commands/network-prune.ts'),
  load: () => import('./commands/load.ts'),
  import: () => import('./commands/import.ts'),
  save: () => import('./commands/save.ts'),
  tag: () => import('./commands/tag.ts'),
  rmi: () => import('./commands/rmi.ts'),
  history: () => import('./commands/history.ts'),
  'image prune': () => import('./commands/image-prune.ts'),
  pull: () => import('./commands/pull.ts'),
  push: () => import('./commands/push.ts'),
  login: () => import('./commands/login.ts'),
  logout: () => import('./commands/logout.ts'),
  search: () => import('./commands/search.ts'),
  events: () => import('./commands/events.ts'),
  'system df': () => import('./commands/system-df.ts'),
  'system check': () => import('./commands/system-check.ts'),
};

/** Loads a command's module. */
export function loadCommand(entry: CommandEntry): Promise<CommandModule> {
  const [name = ''] = entry.paths;
  const load = LOADERS[name];
  if (load === undefined) throw new TypeError(`the command ${name} has no module`);
  return load();
}
