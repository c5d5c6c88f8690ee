#!/bin/sh
# `npm run build`: the launcher (C), the daemon's and the client's bundles.
set -eu
cd "$(dirname "$0")/.."
make -s -C packages/launcher
node scripts/build-daemon.ts
if [ -f packages/cli/build.ts ]; then node packages/cli/build.ts; fi
