/** The flags of `run` and `create` that describe the container: names, letters and meanings are Docker's. */
import { DISABLE_CONTENT_TRUST_FLAG } from './common-flags.ts';
import type { FlagSpec } from './flag-spec.ts';

const PROCESS: readonly FlagSpec[] = group('Process', [
  { name: 'attach', short: 'a', type: 'list', help: 'Attach to STDIN, STDOUT or STDERR' },
  { name: 'interactive', short: 'i', type: 'bool', help: 'Keep STDIN open even if not attached' },
  { name: 'tty', short: 't', type: 'bool', help: 'Allocate a pseudo-TTY' },
  { name: 'entrypoint', type: 'string', help: 'Overwrite the default ENTRYPOINT of the image' },
  { name: 'workdir', short: 'w', type: 'string', help: 'Working directory inside the container' },
  { name: 'user', short: 'u', type: 'string', help: 'Username or UID (format: <name|uid>[:<group|gid>])' },
  { name: 'group-add', type: 'list', help: 'Add additional groups to join' },
  { name: 'env', short: 'e', type: 'list', help: 'Set environment variables' },
  { name: 'env-file', type: 'list', help: 'Read in a file of environment variables' },
  { name: 'hostname', short: 'h', type: 'string', help: 'Container host name' },
  { name: 'domainname', type: 'string', help: 'Container NIS domain name' },
  { name: 'init', type: 'bool', help: 'Run an init inside the container that forwards signals and reaps processes' },
  { name: 'stop-signal', type: 'string', help: 'Signal to stop the container' },
  { name: 'stop-timeout', type: 'int', help: 'Timeout (in seconds) to stop a container' },
  { name: 'restart', type: 'string', help: 'Restart policy to apply when a container exits (default "no")' },
  { name: 'rm', type: 'bool', help: 'Automatically remove the container when it exits' },
]);

const LIMITS: readonly FlagSpec[] = group('Resource limits', [
  { name: 'memory', short: 'm', type: 'string', placeholder: 'bytes', help: 'Memory limit (such as 100m or 1.5g)' },
  {
    name: 'memory-swap',
    type: 'string',
    placeholder: 'bytes',
    help: "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
  },
  { name: 'memory-reservation', type: 'string', placeholder: 'bytes', help: 'Memory soft limit' },
  { name: 'memory-swappiness', type: 'int', help: 'Tune container memory swappiness (0 to 100) (default -1)' },
  { name: 'kernel-memory', type: 'string', placeholder: 'bytes', help: 'Kernel memory limit (without effect)' },
  { name: 'cpus', type: 'string', placeholder: 'decimal', help: 'Number of CPUs' },
  { name: 'cpu-shares', short: 'c', type: 'int', help: 'CPU shares (relative weight)' },
  { name: 'cpu-period', type: 'int', help: 'Limit CPU CFS (Completely Fair Scheduler) period' },
  { name: 'cpu-quota', type: 'int', help: 'Limit CPU CFS (Completely Fair Scheduler) quota' },
  { name: 'cpu-rt-period', type: 'int', help: 'Limit CPU real-time period in microseconds' },
  { name: 'cpu-rt-runtime', type: 'int', help: 'Limit CPU real-time runtime in microseconds' },
  { name: 'cpuset-cpus', type: 'string', help: 'CPUs in which to allow execution (0-3, 0,1)' },
  { name: 'cpuset-mems', type: 'string', help: 'MEMs in which to allow execution (0-3, 0,1)' },
  { name: 'pids-limit', type: 'int', help: 'Tune container pids limit (set -1 for unlimited)' },
  {
    name: 'blkio-weight',
    type: 'int',
    placeholder: 'uint16',
    help: 'Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)',
  },
  { name: 'blkio-weight-device', type: 'list', help: 'Block IO weight (relative device weight)' },
  { name: 'device-read-bps', type: 'list', help: 'Limit read rate (bytes per second) from a device' },
  { name: 'device-read-iops', type: 'list', help: 'Limit read rate (IO per second) from a device' },
  { name: 'device-write-bps', type: 'list', help: 'Limit write rate (bytes per second) to a device' },
  { name: 'device-write-iops', type: 'list', help: 'Limit write rate (IO per second) to a device' },
  { name: 'ulimit', type: 'list', placeholder: 'ulimit', help: 'Ulimit options (name=soft[:hard])' },
  { name: 'shm-size', type: 'string', placeholder: 'bytes', help: 'Size of /dev/shm' },
  { name: 'oom-kill-disable', type: 'bool', help: 'Disable OOM Killer' },
  { name: 'oom-score-adj', type: 'int', help: "Tune host's OOM preferences (-1000 to 1000)" },
]);

const ISOLATION: readonly FlagSpec[] = group('Isolation and security', [
  { name: 'userns', type: 'string', help: "User namespace to use ('host': container root is root of the host)" },
  { name: 'pid', type: 'string', help: 'PID namespace to use (host, container:<name|id>)' },
  { name: 'ipc', type: 'string', help: 'IPC mode to use (none, private, shareable, host, container:<name|id>)' },
  { name: 'uts', type: 'string', help: 'UTS namespace to use (host)' },
  { name: 'cgroupns', type: 'string', help: 'Cgroup namespace to use (host|private)' },
  { name: 'cgroup-parent', type: 'string', help: 'Optional parent cgroup for the container' },
  { name: 'privileged', type: 'bool', help: 'Give extended privileges to this container' },
  { name: 'cap-add', type: 'list', help: 'Add Linux capabilities' },
  { name: 'cap-drop', type: 'list', help: 'Drop Linux capabilities' },
  {
    name: 'security-opt',
    type: 'list',
    help: 'Security options: seccomp=FILE|unconfined, no-new-privileges, apparmor=PROFILE, label=…, systempaths=unconfined',
  },
  { name: 'device', type: 'list', help: 'Add a host device to the container' },
  { name: 'device-cgroup-rule', type: 'list', help: 'Add a rule to the cgroup allowed devices list' },
  { name: 'gpus', type: 'list', placeholder: 'gpu-request', help: "GPU devices to add ('all' to pass all GPUs)" },
  { name: 'sysctl', type: 'list', placeholder: 'map', help: 'Sysctl options' },
  { name: 'runtime', type: 'string', help: 'Runtime to use for this container' },
  { name: 'isolation', type: 'string', help: 'Container isolation technology' },
]);

const STORAGE: readonly FlagSpec[] = group('Storage', [
  { name: 'volume', short: 'v', type: 'list', help: 'Bind mount a volume (HOST-PATH:PATH[:ro])' },
  {
    name: 'mount',
    type: 'list',
    placeholder: 'mount',
    help: 'Attach a filesystem mount (type=bind|tmpfs,src=…,dst=…)',
  },
  { name: 'tmpfs', type: 'list', help: 'Mount a tmpfs directory (PATH[:options])' },
  { name: 'read-only', type: 'bool', help: "Mount the container's root filesystem as read only" },
  { name: 'volume-driver', type: 'string', help: 'Optional volume driver for the container' },
  { name: 'volumes-from', type: 'list', help: 'Mount volumes from the specified container(s)' },
  { name: 'storage-opt', type: 'list', help: 'Storage driver options for the container' },
]);

const NETWORK: readonly FlagSpec[] = group('Network', [
  {
    name: 'network',
    type: 'list',
    placeholder: 'network',
    aliases: ['net'],
    help: 'Connect a container to a network (bridge, NAME, none, host, container:<name|id>)',
  },
  { name: 'network-alias', type: 'list', aliases: ['net-alias'], help: 'Add network-scoped alias for the container' },
  { name: 'publish', short: 'p', type: 'list', help: "Publish a container's port(s) to the host" },
  { name: 'publish-all', short: 'P', type: 'bool', help: 'Publish all exposed ports to random ports' },
  { name: 'expose', type: 'list', help: 'Expose a port or a range of ports' },
  { name: 'ip', type: 'string', help: 'IPv4 address (e.g., 172.30.100.104)' },
  { name: 'ip6', type: 'string', help: 'IPv6 address (e.g., 2001:db8::33)' },
  { name: 'link-local-ip', type: 'list', help: 'Container IPv4/IPv6 link-local addresses' },
  { name: 'mac-address', type: 'string', help: 'Container MAC address (e.g., 92:d0:c6:0a:29:33)' },
  { name: 'link', type: 'list', help: 'Add link to another container' },
  { name: 'dns', type: 'list', help: 'Set custom DNS servers' },
  { name: 'dns-option', type: 'list', aliases: ['dns-opt'], help: 'Set DNS options' },
  { name: 'dns-search', type: 'list', help: 'Set custom DNS search domains' },
  {
    name: 'add-host',
    type: 'list',
    help: "Add a custom host-to-IP mapping (host:ip; the ip 'host-gateway' is the host)",
  },
  {
    name: 'allow-egress',
    type: 'list',
    placeholder: 'rule',
    help: 'Let it reach this and nothing else that its networks do not allow: CIDR|ADDRESS|NAME[:port]',
  },
]);

const METADATA: readonly FlagSpec[] = group('Name, labels and logging', [
  { name: 'name', type: 'string', help: 'Assign a name to the container' },
  { name: 'cidfile', type: 'string', help: 'Write the container ID to the file' },
  { name: 'label', short: 'l', type: 'list', help: 'Set meta data on a container' },
  { name: 'label-file', type: 'list', help: 'Read in a line delimited file of labels' },
  { name: 'annotation', type: 'list', placeholder: 'map', help: 'Add an annotation to the container' },
  { name: 'log-driver', type: 'string', help: 'Logging driver for the container (json-file, none)' },
  { name: 'log-opt', type: 'list', help: 'Log driver options (max-size=…, max-file=…)' },
]);

const HEALTH: readonly FlagSpec[] = group('Health check', [
  { name: 'health-cmd', type: 'string', help: 'Command to run to check health' },
  { name: 'health-interval', type: 'string', placeholder: 'duration', help: 'Time between running the check' },
  { name: 'health-retries', type: 'int', help: 'Consecutive failures needed to report unhealthy' },
  {
    name: 'health-start-interval',
    type: 'string',
    placeholder: 'duration',
    help: 'Time between running the check during the start period',
  },
  {
    name: 'health-start-period',
    type: 'string',
    placeholder: 'duration',
    help: 'Start period for the container to initialize before starting health-retries countdown',
  },
  { name: 'health-timeout', type: 'string', placeholder: 'duration', help: 'Maximum time to allow one check to run' },
  { name: 'no-healthcheck', type: 'bool', help: 'Disable any container-specified HEALTHCHECK' },
]);

const IMAGE: readonly FlagSpec[] = group('Image', [
  {
    name: 'pull',
    type: 'string',
    help: 'Pull image before running ("always", "missing", "never") (default "missing")',
  },
  { name: 'platform', type: 'string', help: 'Set platform if server is multi-platform capable' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'Suppress the pull output' },
  DISABLE_CONTENT_TRUST_FLAG,
]);

/** Everything that `run` and `create` share. */
export const CONTAINER_FLAGS: readonly FlagSpec[] = [
  ...PROCESS,
  ...LIMITS,
  ...ISOLATION,
  ...STORAGE,
  ...NETWORK,
  ...METADATA,
  ...HEALTH,
  ...IMAGE,
];

function group(heading: string, flags: readonly FlagSpec[]): readonly FlagSpec[] {
  return flags.map((flag) => ({ ...flag, group: heading }));
}
