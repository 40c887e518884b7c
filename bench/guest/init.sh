#!/bin/busybox sh
# Runs each workload between two marks on the console, and powers off.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
timed() {
  name=$1
  shift
  echo "begin $name"
  "$@" >/tmp/out
  echo "end $name $(sha256sum </tmp/out | cut -c1-16)"
}
ash_loop() {
  i=0 sum=0
  while [ $i -lt 24000 ]; do
    i=$((i + 1))
    sum=$((sum + i * 3 % 7))
  done
  echo $sum
}
# Busybox itself is the data that there is.
data='/bin/busybox /bin/busybox'
timed loop work loop
timed crc32 work crc32
timed quicksort work quicksort
timed matmul work matmul
timed bytecode work bytecode
timed sha256sum sha256sum $data $data $data $data $data $data $data $data $data $data
timed gzip gzip -c $data
timed ash ash_loop
timed awk awk 'BEGIN { for (i = 0; i < 40000; i++) { s = s + i * 2 % 7; t[i % 100] = s "" } print s }'
timed fork work fork
echo "all work is done"
poweroff -f
