# hello: the smallest test kernel.
#
# Loaded as   Multiboot 1 image
# Does        prints one line by polling COM1, then uses the debug exit port
# Prints      hello from the guest
# Ends with   debug exit 0x10: the process exits with 33

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code32
SERIAL 32

multiboot_entry:
    mov esp, offset stack_top
    SAY32 "hello from the guest\n"
    FINISH PASS

    .bss
    .balign 16
    .skip 256
stack_top:
