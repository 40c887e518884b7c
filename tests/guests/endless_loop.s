# endless_loop: a guest that never leaves by itself: no exit, no interrupt.
#
# Loaded as   Multiboot 1 image
# Does        prints one line, then cli; jmp to itself
# Prints      looping
# Ends with   nothing: only a time limit or a stop ends it

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code32
SERIAL 32

multiboot_entry:
    mov esp, offset stack_top
    SAY32 "looping\n"
    cli
1:  jmp 1b

    .bss
    .balign 16
    .skip 256
stack_top:
