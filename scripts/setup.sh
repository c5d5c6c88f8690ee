#!/bin/sh
# Installs what the tests and the quickstart need on Debian 12: `scripts/setup.sh PACKAGE…` for Debian packages, and the
# npm packages of package-lock.json. Does nothing where all is there.
set -eu
cd "$(dirname "$0")/.."

say() { echo "== $*"; }

missing=
for package in "$@"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if ! command -v apt-get >/dev/null; then
    echo "This is not a Debian: install the counterparts of these packages yourself:$missing" >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then
    echo "These Debian packages are missing and only root may install them: apt-get install$missing" >&2
    exit 1
  fi
  say "installing Debian packages:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086
  apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 </dev/null || {
    apt-get update -qq </dev/null
    apt-get install -qq -y --no-install-recommends $missing </dev/null
  }
fi

if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing npm packages (npm ci)"
  npm ci --no-audit --no-fund --loglevel=error </dev/null
fi
