#!/bin/sh
# Prints the address of the Debian mirror that this host's apt uses.
set -eu
find_mirror() {
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' | sed -n 's/ Debian$//p' | head -n 1
}
mirror=$(find_mirror)
if [ -z "$mirror" ]; then
  apt-get update -qq </dev/null >&2
  mirror=$(find_mirror)
fi
[ -n "$mirror" ] || { echo "apt has no Debian mirror: see /etc/apt/sources.list.d" >&2; exit 1; }
echo "$mirror"
