#!/bin/sh
# `npm test`: sets up what it needs, builds, and runs every test. Ends with a line `N passed, N failed`.
# Arguments go to scripts/run-tests.ts in place of «everything»: `npm test -- test/run.test.ts`.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  echo "npm test makes real containers and mounts, so it needs root: run 'sudo npm test'." >&2
  echo "Without root there is 'npm run check': format, lint, types, import rules and unit tests." >&2
  exit 1
fi

# The guest of test/guest.test.ts is an x86-64 machine.
emulator=
if [ "$(uname -m)" = x86_64 ]; then emulator=qemu-system-x86; fi
# shellcheck disable=SC2086
sh scripts/setup.sh $emulator gcc make libc6-dev libseccomp2 libnftables1 e2fsprogs busybox-static mmdebstrap erofs-utils \
  iproute2 nftables zstd skopeo docker-registry apache2-utils openssl docker-compose
# libFuzzer comes with a package that is named after the version of clang; without it the C tests say that they do not fuzz.
version=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p')
if [ -n "$version" ]; then sh scripts/setup.sh clang "libclang-rt-$version-dev"; fi
PATH=$PWD/node_modules/.bin:$PATH
export PATH
echo "== building"
sh scripts/build.sh
if [ $# -eq 0 ]; then set -- --checks --unit --c --integration; fi
exec node scripts/run-tests.ts "$@"
