#!/bin/sh
# Runs inside the guest (see make-disk.sh) and prints TAP: tsd as a systemd service, on cgroup v2, with AppArmor, and layers
# on the guest's kernel.
number=0
failed=0
check() { # check NAME EXPECTED ACTUAL
  number=$((number + 1))
  if [ "$2" = "$3" ]; then
    echo "ok $number - $1"
  else
    failed=$((failed + 1))
    echo "not ok $number - $1"
    printf '%s\n' "wanted: $2" "found:  $3" | sed 's/^/# /'
  fi
}

echo 'TAP version 14'
systemctl start tsd.service
check 'the service is active' active "$(systemctl is-active tsd.service)"
[ "$(systemctl is-active tsd.service)" = active ] || journalctl -u tsd.service --no-pager | tail -30 | sed 's/^/# /'

mkdir -p /tmp/busybox/bin /tmp/busybox/etc /tmp/busybox/tmp
cp /bin/busybox /tmp/busybox/bin/busybox
for applet in sh cat sleep id true head mknod tail grep echo dd ls stat rm; do ln -sf busybox "/tmp/busybox/bin/$applet"; done
echo 'root:x:0:0:root:/root:/bin/sh' >/tmp/busybox/etc/passwd
tar -C /tmp/busybox -cf /tmp/busybox.tar .
tsdctl import /tmp/busybox.tar busybox >/dev/null 2>&1

# An image of many layers: each adds a file, changes one and deletes one.
layers=30
mkdir -p /tmp/image
cp /tmp/busybox.tar /tmp/image/0.tar
number_of_layer=1
while [ $number_of_layer -le $layers ]; do
  layer=/tmp/layer
  mkdir -p $layer/d/opaque
  echo $number_of_layer >$layer/d/added$number_of_layer
  echo $number_of_layer >$layer/d/changed
  echo $number_of_layer >$layer/d/opaque/in$number_of_layer
  echo >$layer/d/opaque/.wh..wh..opq
  [ $number_of_layer = 1 ] || echo >$layer/d/.wh.added$((number_of_layer - 1))
  tar -C $layer -cf /tmp/image/$number_of_layer.tar .
  rm -rf $layer
  number_of_layer=$((number_of_layer + 1))
done
(
  cd /tmp/image || exit
  files=$(ls | sort -n)
  list() { sed "s/.*/\"$1&$2\"/" | paste -sd , -; }
  diff_ids=$(for file in $files; do sha256sum "$file" | cut -c 1-64; done | list sha256: '')
  echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$diff_ids]}}" >config.json
  echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"many:latest\"],\"Layers\":[$(echo "$files" | list '' '')]}]" >manifest.json
  tar -cf /tmp/many.tar .
)
check 'an image of many layers is loaded' 'Loaded image: many:latest' "$(tsdctl load -i /tmp/many.tar 2>&1)"

run='tsdctl run --rm --network none'
check 'memory.max' 104857600 "$($run --memory 100M busybox cat /sys/fs/cgroup/memory.max 2>&1)"
check 'memory.swap.max for --memory-swap' 52428800 "$($run --memory 100M --memory-swap 150M busybox cat /sys/fs/cgroup/memory.swap.max 2>&1)"
check 'cpu.max for --cpus' '50000 100000' "$($run --cpus 0.5 busybox cat /sys/fs/cgroup/cpu.max 2>&1)"
check 'cpu.weight is set for --cpu-shares' 0 "$($run --cpu-shares 512 busybox sh -c 'test "$(cat /sys/fs/cgroup/cpu.weight)" != 100; echo $?' 2>&1)"
check 'pids.max' 50 "$($run --pids-limit 50 busybox cat /sys/fs/cgroup/pids.max 2>&1)"
check 'cpuset.cpus' 1 "$($run --cpuset-cpus 1 busybox cat /sys/fs/cgroup/cpuset.cpus 2>&1)"
check 'the container sees its cgroup as the root' '0::/' "$($run busybox cat /proc/self/cgroup 2>&1)"
check 'the cgroup tree is read-only' 1 "$($run busybox sh -c '(echo 1 >/sys/fs/cgroup/pids.max) 2>/dev/null; echo $?' 2>&1)"

tsdctl run --name oom --network none --memory 64M --memory-swap 64M busybox tail /dev/zero >/dev/null 2>&1
check 'an OOM kill exits with 137' 137 "$?"
check 'OOMKilled' true "$(tsdctl inspect --format '{{.State.OOMKilled}}' oom 2>&1)"
tsdctl rm oom >/dev/null

# What stats reads of version 2. A tmpfs is memory, so the bytes are written to the disk below the container's root.
write='dd if=/dev/zero of=/blob bs=1M count=3 conv=fsync 2>/dev/null; while :; do :; done'
tsdctl run -d --name counted --network none --memory 64M --pids-limit 50 --cpus 0.5 busybox sh -c "$write" >/dev/null
stats() { tsdctl stats --no-stream --format "$1" counted 2>&1; }
until [ "$(stats '{{.BlockIO}}' | sed 's|.* / ||')" != 0B ] || [ $((waited += 1)) -gt 30 ]; do :; done
check 'stats: memory limit and processes' '64MiB 1' "$(stats '{{.MemUsage}} {{.PIDs}}' | sed 's|.* / ||')"
check 'stats: memory in use' 0 "$(stats '{{.MemUsage}}' | grep -Eqx '[0-9.]+(KiB|MiB) / 64MiB'; echo $?)"
check 'stats: what was written' 0 "$(stats '{{.BlockIO}}' | grep -Eqx '.* / 3\.[0-9]*MB'; echo $?)"
check 'stats: half a processor' 0 "$(stats '{{.CPUPerc}}' | grep -Eqx '[2-6][0-9]\.[0-9]+%'; echo $?)"
tsdctl rm -f counted >/dev/null

check 'AppArmor confines' 'tsd-default (enforce)' "$($run busybox cat /proc/self/attr/current 2>&1)"
check 'AppArmor can be unconfined' unconfined "$($run --security-opt apparmor=unconfined busybox cat /proc/self/attr/current 2>&1)"
check 'the device filter refuses the disk' 1 "$($run --userns host --cap-add MKNOD busybox sh -c 'mknod /d b 254 0 && head -c 1 /d >/dev/null 2>&1; echo $?' 2>&1)"
check 'the device filter allows /dev/null' 0 "$($run --userns host busybox sh -c 'echo x >/dev/null; echo $?' 2>&1)"
check '--device opens one' 0 "$($run --userns host --device /dev/vda:/dev/disk:r busybox sh -c 'head -c 1 /dev/disk >/dev/null; echo $?' 2>&1)"

# Layers on this kernel.
merged='cat /d/changed; ls /d /d/opaque; stat -c %u:%g /d/changed; rm /d/changed; echo new >/d/opaque/new; ls /d /d/opaque'
merged_wanted="$layers
/d:
added$layers
changed
opaque

/d/opaque:
in$layers
0:0
/d:
added$layers
opaque

/d/opaque:
in$layers
new"
check 'layers are merged' "$merged_wanted" "$($run many sh -c "$merged" 2>&1)"
check 'layers are merged in the user namespace of the host' "$merged_wanted" "$($run --userns host many sh -c "$merged" 2>&1)"
check 'a container keeps what it changed' kept "$(
  tsdctl run --name changed --network none busybox sh -c 'test -e /kept && cat /kept; echo kept >/kept' 2>&1
  tsdctl start -a changed 2>&1
  tsdctl rm changed >/dev/null
)"
# A directory as a real system has it: tens of megabytes, links, attributes.
tar -C / -cf /tmp/real.tar usr/bin usr/lib/systemd etc bin/busybox
tsdctl import /tmp/real.tar real >/dev/null 2>&1
digest='b=/bin/busybox; cd /usr && $b find bin lib/systemd -type f -print0 | $b sort -z | $b xargs -0 $b cat | $b sha256sum'
check 'the content of files' "$(busybox sh -c "$digest")" "$($run real /bin/busybox sh -c "$digest" 2>&1)"
damaged=
for image in /var/lib/tsd/layers/sha256/*/layer.erofs; do
  case $(uname -r) in
  6.1.*) device= ;;
  *) device=--device=${image%erofs}tar ;;
  esac
  # shellcheck disable=SC2086
  complaint=$(fsck.erofs $device "$image" 2>&1) || damaged="$damaged $image: $complaint"
done
check 'fsck.erofs accepts every layer' '' "$damaged"

tsdctl run -d --name long --network none busybox sleep 1000 >/dev/null
before=$(tsdctl inspect --format '{{.State.Pid}}' long)
systemctl restart tsd.service
check 'a container outlives the restart of the service' "$before" "$(tsdctl inspect --format '{{.State.Pid}}' long 2>&1)"
check 'and runs' true "$(tsdctl inspect --format '{{.State.Running}}' long 2>&1)"
systemctl kill --signal=KILL --kill-whom=main tsd.service
systemctl restart tsd.service
check 'a container outlives the death of the daemon' "$before" "$(tsdctl inspect --format '{{.State.Pid}}' long 2>&1)"
tsdctl rm -f long >/dev/null
check 'no container is left' '' "$(tsdctl ps -aq)"
systemctl stop tsd.service
check 'no cgroup of a container is left' '' "$(find /sys/fs/cgroup -type d -path '*tsd*' -regex '.*/[0-9a-f]+' | head -3)"
check 'no loop device is left' '' "$(losetup -a)"
check 'no mount is left' '' "$(grep -E 'erofs|overlay' /proc/mounts)"
[ "$failed" = 0 ] || journalctl -u tsd.service --no-pager | tail -40 | sed 's/^/# /'
echo "1..$number"
echo 'GUEST DONE'
