# halt: a guest that sleeps for good: HLT with interrupts off.
#
# Loaded as   Multiboot 1 image
# Does        prints one line, then cli; hlt
# Prints      halting
# Ends with   nothing: only an NMI could wake it (SDM 2A, HLT), so a time limit or a stop ends it

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code32
SERIAL 32

multiboot_entry:
    mov esp, offset stack_top
    SAY32 "halting\n"
1:  cli
    hlt
    jmp 1b

    .bss
    .balign 16
    .skip 256
stack_top:
