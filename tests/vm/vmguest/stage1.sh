#!/bin/busybox sh
# First stage, in the initramfs: put the host's root together and move onto it.
b=/bin/busybox
m="$b mount -t"
$m devtmpfs dev /dev; $m proc proc /proc
while read ko; do $b insmod "$ko" || echo "vmtest: insmod $ko failed" >/dev/console; done </modules
$m tmpfs -o mode=755 tmp /tmp; $b mkdir -p /tmp/up /tmp/work /tmp/root
p9=trans=virtio,version=9p2000.L,msize=131072
$m 9p -o $p9,cache=loose,ro host /host && $m 9p -o $p9,cache=loose,ro mods /mods &&
$m overlay -o lowerdir=/mods:/host,upperdir=/tmp/up,workdir=/tmp/work root /tmp/root &&
cd /tmp/root && $m tmpfs -o mode=755,nosuid,nodev run run && $b mkdir run/vmtest run/netns run/lock &&
$m 9p -o $p9,cache=none run run/vmtest || exec $b poweroff -f
$b mount --move /dev dev; $b mount --move /proc proc; $m sysfs sys sys
$b mkdir -p dev/pts dev/shm
$m devpts -o gid=5,mode=620,ptmxmode=666 pts dev/pts
$m tmpfs -o mode=1777,nosuid,nodev shm dev/shm
$m bpf bpf sys/fs/bpf
$m cgroup2 cgroup sys/fs/cgroup
$m tracefs trace sys/kernel/tracing
$m debugfs debug sys/kernel/debug
for d in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do $b ln -s /proc/self/${d#*:} dev/${d%%:*}; done
$b hostname vmtest
exec $b switch_root /tmp/root /bin/sh /run/vmtest/stage2
