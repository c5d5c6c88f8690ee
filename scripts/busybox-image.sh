#!/bin/sh
# Makes a busybox image from Debian's busybox-static, as an archive for `tsdctl load` (or `docker load`):
# `scripts/busybox-image.sh OUTPUT.tar [NAME:TAG]`. The same input gives the same image id.
set -eu

output=$1
name=${2:-busybox:latest}
busybox=/bin/busybox
[ -x "$busybox" ] || { echo "$busybox is missing: apt-get install busybox-static" >&2; exit 1; }
case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/etc" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/root" "$root/home" "$root/var/tmp" "$root/usr"
chmod 755 "$root" "$root"/*
chmod 1777 "$root/tmp" "$root/var/tmp"
chmod 700 "$root/root"
cp "$busybox" "$root/bin/busybox"
chmod 755 "$root/bin/busybox"
for applet in $("$busybox" --list); do
  [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
ln -s bin "$root/sbin"
ln -s ../bin "$root/usr/bin"
ln -s ../bin "$root/usr/sbin"
cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
PASSWD
cat >"$root/etc/group" <<'GROUP'
root:x:0:
daemon:x:1:
tty:x:5:
www-data:x:33:
operator:x:37:
nogroup:x:65534:
GROUP
chmod 644 "$root/etc/passwd" "$root/etc/group"

# --sort and fixed owners and times: the same busybox gives the same layer.
tar --create --file "$work/layer.tar" --directory "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu .
layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
created=$(date --utc --date="@$(stat -c %Y "$busybox")" +%Y-%m-%dT%H:%M:%SZ)
config="{\"architecture\":\"$arch\",\"os\":\"linux\",\"created\":\"$created\",\"config\":{\"Env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"],\"Cmd\":[\"sh\"]},\"history\":[{\"created\":\"$created\",\"created_by\":\"Debian busybox-static\"}],\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$layer\"]}}"
printf %s "$config" >"$work/config.json"
id=$(sha256sum "$work/config.json" | cut -d' ' -f1)
mkdir -p "$work/archive/$layer"
mv "$work/config.json" "$work/archive/$id.json"
mv "$work/layer.tar" "$work/archive/$layer/layer.tar"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]' "$id" "$name" "$layer" >"$work/archive/manifest.json"
mkdir -p "$(dirname "$output")"
tar --create --file "$output.partial" --directory "$work/archive" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu \
  manifest.json "$id.json" "$layer"
mv "$output.partial" "$output"
