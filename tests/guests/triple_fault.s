# triple_fault: a guest that loses the machine.
#
# Loaded as   Multiboot 1 image
# Does        makes the IDT empty and executes UD2: #UD cannot be delivered, neither can the #GP
#             about that, nor the #DF about both, so the processor shuts down (SDM 3A §6.15)
# Prints      about to fault three times
# Ends with   a triple fault: the process exits with 3

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code32
SERIAL 32

multiboot_entry:
    mov esp, offset stack_top
    SAY32 "about to fault three times\n"
    lidt [empty_idt]
    .globl faulting_instruction
faulting_instruction:
    ud2

    .section .data
empty_idt:
    .word 0
    .long 0

    .bss
    .balign 16
    .skip 256
stack_top:
