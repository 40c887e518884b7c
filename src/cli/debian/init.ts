/** The first program of the Debian guest. */

/** The start of the line that /init prints just before the shell reads its input. */
export const READY_LINE = "denovisor guest is ready";
/** The shell's first prompt: from here on it reads its input as it comes. */
export const PROMPT = "denovisor:/root# ";
/**
 * Ends the shell. What a program at the console has read away from it, or the console in between (an
 * end of input that comes while a command runs is for that command), the line after it does.
 */
export const END_SHELL = "\x04exit\r";

/**
 * /init: makes the usual file systems, says that the guest is ready and runs a shell on the console.
 * The guest is powered off when the shell ends. As process 1 it also has to do what busybox'
 * `poweroff`, `reboot` and `halt` ask with SIGUSR2, SIGTERM and SIGUSR1; the shell runs in the
 * background since `wait`, unlike a command in the foreground, lets a trap run at once. `cttyhack`
 * opens the serial console by its own name and makes it the shell's controlling terminal, so that
 * Ctrl-C and job control work.
 */
export const INIT_SCRIPT = `#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
hostname denovisor
trap 'poweroff -f' USR2
trap 'reboot -f' TERM
trap 'halt -f' USR1
echo "${READY_LINE}: Linux $(uname -r), $(nproc) CPUs"
echo "This is busybox; exit or poweroff ends the guest."
cd /root
PS1='denovisor:\\w# ' setsid cttyhack sh &
wait $!
poweroff -f
`;
