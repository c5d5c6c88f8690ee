#!/bin/sh
# `npm run bench`: tsd beside dockerd, runc and crun on this machine. Rows whose counterpart is missing say so.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
  echo "npm run bench makes containers, so it needs root: run 'sudo npm run bench'." >&2
  exit 1
fi
sh scripts/setup.sh gcc make libc6-dev libseccomp2 libnftables1 busybox-static mmdebstrap curl docker-registry skopeo openssl \
  apache2-utils iproute2 iperf3
sh scripts/build.sh
exec node bench/main.ts "$@"
