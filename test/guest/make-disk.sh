#!/bin/sh
# Makes the disk, kernel and initrd of a Debian guest with systemd, AppArmor and cgroup v2 in $1, with this checkout in
# /opt/tsd. $2 says where the kernel is from: bookworm (6.1), trixie (6.12) or trixie-backports. The base root (mmdebstrap) is
# kept in $1 and made once. Needs root, mmdebstrap and e2fsprogs.
set -eu
out=$1
kernel_from=$2
release=${kernel_from%-backports}
checkout=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$out"

packages=systemd,systemd-sysv,dbus,initramfs-tools,libseccomp2,libnftables1,apparmor,kmod,busybox-static,iproute2,procps,erofs-utils
packages=$packages,linux-image-cloud-amd64/$kernel_from
base=$out/root-$(printf %s "$packages" | cksum | cut -d ' ' -f 1).tar
if [ ! -e "$base" ]; then
  mirror=$("$checkout/scripts/debian-mirror.sh")
  rm -f "$out"/root*.tar
  set -- "deb $mirror $release main"
  [ "$release" = "$kernel_from" ] || set -- "$@" "deb $mirror $kernel_from main"
  mmdebstrap --quiet --variant=minbase --include="$packages" "$release" "$out/root.partial.tar" "$@"
  mv "$out/root.partial.tar" "$base"
fi

rm -rf "$out/root"
mkdir "$out/root"
tar -xf "$base" -C "$out/root"
cp "$out"/root/boot/vmlinuz-* "$out/vmlinuz"
cp "$out"/root/boot/initrd.img-* "$out/initrd"
rm -f "$out"/root/boot/*

# What runs tsd: the checkout without its history and without the tools of development.
mkdir -p "$out/root/opt/tsd"
tar -C "$checkout" --exclude=./.git --exclude=./build --exclude='./node_modules/typescript' \
  --exclude='./node_modules/@biomejs' --exclude='./node_modules/@turbo' --exclude='./node_modules/turbo' \
  --exclude='./node_modules/@esbuild' --exclude='./.tap' --exclude='./.turbo' -cf - . | tar -xf - -C "$out/root/opt/tsd"
ln -s /opt/tsd/bin/tsd "$out/root/usr/local/bin/tsd"
ln -s /opt/tsd/bin/tsdctl "$out/root/usr/local/bin/tsdctl"
cp "$checkout"/systemd/*.service "$out/root/etc/systemd/system/"
for unit in "$checkout"/systemd/*.socket; do
  [ -e "$unit" ] && cp "$unit" "$out/root/etc/systemd/system/"
done

cat >"$out/root/etc/systemd/system/tsd-guest.service" <<'UNIT'
[Unit]
Description=The checks of this guest
After=multi-user.target
[Service]
Type=oneshot
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStart=-/bin/sh /opt/tsd/test/guest/checks.sh
ExecStart=systemctl poweroff --force --force
[Install]
WantedBy=default.target
UNIT
mkdir -p "$out/root/etc/systemd/system/default.target.wants"
ln -sf ../tsd-guest.service "$out/root/etc/systemd/system/default.target.wants/tsd-guest.service"
# The serial line is for the checks alone.
ln -sf /dev/null "$out/root/etc/systemd/system/serial-getty@ttyS0.service"
echo '/dev/vda / ext4 rw 0 0' >"$out/root/etc/fstab"
rm -f "$out/disk.img"
mke2fs -q -t ext4 -d "$out/root" "$out/disk.img" 3G
rm -rf "$out/root"
