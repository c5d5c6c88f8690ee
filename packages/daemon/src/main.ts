/** The daemon: reads its configuration and runs until it is told to end. */
import { TsdError } from '@tsd/shared/errors';
import { type Config, readConfig } from './config.ts';
import { createLog } from './log.ts';
import { sdNotify } from './os/sd-notify.ts';
import { type Daemon, startDaemon } from './start-daemon.ts';
import { VERSION } from './version.ts';

/** Exit status of a daemon that could not start, as dockerd's. */
const START_FAILED = 1;

async function main(): Promise<void> {
  const result = readConfig({ argv: process.argv.slice(2), env: process.env });
  if (result.kind === 'help') process.stdout.write(result.text);
  else if (result.kind === 'version') process.stdout.write(`tsd version ${VERSION}\n`);
  else await run(result.config);
}

async function run(config: Config): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new TsdError('forbidden', 'tsd needs root: it makes namespaces, cgroups and mounts. Start it as root');
  }
  // Nothing that the daemon makes is for others, except where a mode is given.
  process.umask(0o022);
  const log = createLog(config.logLevel);
  const daemon = await startDaemon(config, log);
  endOnSignals(daemon, log);
  sdNotify(['READY=1', `STATUS=Listening on ${config.sockets.join(', ')}`]);
}

function endOnSignals(daemon: Daemon, log: ReturnType<typeof createLog>): void {
  let ending = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (ending) process.exit(128);
      ending = true;
      log.info({ signal }, 'ending; containers go on running');
      sdNotify(['STOPPING=1']);
      daemon.close().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ err: error }, 'could not end cleanly');
          process.exit(START_FAILED);
        },
      );
    });
  }
  // Reloading is not there; a hang-up must not end the daemon.
  process.on('SIGHUP', () => log.warn({}, 'SIGHUP: the configuration is read at the start only'));
}

main().catch((error: unknown) => {
  const text =
    error instanceof TsdError ? error.message : error instanceof Error ? (error.stack ?? error.message) : error;
  process.stderr.write(`tsd: ${text}\n`);
  process.exit(START_FAILED);
});
