/**
 * The import rules: main → http → containers → {images, networks, volumes} → {runtime, storage} → os; anyone → shared.
 * `events` and `exec` stand beside `containers`: a verb may publish an event. scripts/check-imports.ts runs this and
 * fails when no module was seen.
 */
const DAEMON = '^packages/daemon/src/';

/** Layers of the daemon from top to bottom; a file may import its own layer's folder and any layer below it. */
const LAYERS = [
  ['http'],
  ['containers', 'exec'],
  ['images', 'networks', 'volumes', 'events'],
  ['runtime', 'storage'],
  ['os'],
];

/** Folders of one layer that may import each other although they stand side by side. */
const SIDEWAYS = {
  // The launch needs the layer store's files to mount them; the store knows nothing of launches.
  runtime: ['storage'],
  exec: ['containers'],
  containers: ['exec'],
  // Their verbs publish events; events know nothing of what they are about.
  networks: ['events'],
  images: ['events'],
};

const directionRules = LAYERS.flatMap((folders, level) =>
  folders.map((folder) => {
    const below = LAYERS.slice(level + 1).flat();
    const allowed = [folder, ...below, ...(SIDEWAYS[folder] ?? [])];
    return {
      name: `${folder}-imports-downwards`,
      comment: `daemon/src/${folder} may import only ${allowed.join(', ')} of the daemon`,
      severity: 'error',
      from: { path: `${DAEMON}${folder}/` },
      to: { path: DAEMON, pathNot: `${DAEMON}(${allowed.join('|')})/` },
    };
  }),
);

// config.ts is a value type with its reader: the http layer may name the type, nothing below may.
const http = directionRules.find((rule) => rule.name === 'http-imports-downwards');
http.to.pathNot = `${http.to.pathNot}|${DAEMON}config\\.ts$`;

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'two files that import each other are one idea, or the wrong way round',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-unresolvable',
      comment: 'an import that cannot be found',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'shared-is-a-leaf',
      comment: 'the contract imports neither daemon nor client',
      severity: 'error',
      from: { path: '^packages/shared/src/' },
      to: { path: '^packages/(?!shared/)' },
    },
    {
      name: 'client-does-not-know-the-daemon',
      severity: 'error',
      from: { path: '^packages/cli/' },
      to: { path: '^packages/daemon/' },
    },
    {
      name: 'daemon-does-not-know-the-client',
      severity: 'error',
      from: { path: '^packages/daemon/' },
      to: { path: '^packages/cli/' },
    },
    {
      name: 'main-is-the-root',
      comment: 'main.ts and start-daemon.ts construct everything and are imported by nothing else',
      severity: 'error',
      from: { pathNot: '^packages/daemon/src/main\\.ts$' },
      to: { path: `${DAEMON}(main|start-daemon)\\.ts$` },
    },
    {
      name: 'sources-do-not-import-tests',
      severity: 'error',
      from: { path: '^packages/[^/]+/src/' },
      to: { path: '(^|/)test/' },
    },
    {
      name: 'kernel-only-in-os',
      comment: 'koffi is the way into the kernel: only os/ may load it',
      severity: 'error',
      from: { path: DAEMON, pathNot: `${DAEMON}os/` },
      to: { path: '(^|/)node_modules/koffi/' },
    },
    {
      name: 'shared-has-no-io',
      comment: 'no I/O in the contract',
      severity: 'error',
      from: { path: '^packages/shared/src/' },
      to: { path: '^(node:)?(fs|fs/promises|http|https|child_process|dgram|tls|worker_threads)$' },
    },
    ...directionRules,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
    builtInModules: { add: ['node:sqlite', 'node:sea', 'node:test'] },
  },
};
