# Second stage, on the host's root: modules, the command, its end.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
ip link set lo up
. /run/vmtest/vars
# A task's time slice is as many instructions as on a real CPU: from 7.0 on a task can be preempted
# in a BPF program, and until it goes on the CPU skips that program for all others.
slice=/sys/kernel/debug/sched/base_slice_ns
[ ! -w $slice ] || echo $(($(cat $slice) * slower)) >$slice
modprobe -a -q -b $modules
n=0; while [ $n -lt $rw ]; do
  d=$(cat /run/vmtest/rw$n); mkdir -p "$d"
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072,cache=none rw$n "$d"
  n=$((n+1))
done
# Through pipes, as a program may open /dev/stdout anew, and truncate it.
mkfifo /run/out /run/err
cat /run/out >/run/vmtest/out & keep=" 1 $! "
cat /run/err >/run/vmtest/err & keep="$keep$! "
echo up >/run/vmtest/boot
sh /run/vmtest/command </dev/null >/run/out 2>/run/err
status=$?
# Whatever the command left running would hold the pipes open.
for p in /proc/[0-9]*; do
  case "$keep" in *" ${p#/proc/} "*) ;; *) kill -9 ${p#/proc/} 2>/dev/null;; esac
done
wait
sync
echo $status >/run/vmtest/exit
sleep 20; busybox poweroff -f    # the host normally ends qemu well before this
