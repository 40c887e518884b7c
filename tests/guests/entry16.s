# entry16: checks that a flat 16-bit image is entered as a PC's BIOS enters a boot sector (INT 19h).
#
# Loaded as   boot sector: 512 bytes at 0000:7c00 that end with 55 aa
# Prints      entry16 ok, or the check that fails
# Ends with   debug exit 0x10 (33), or by the check that fails:
#             0x20 (65)  CS:IP is not the linear address 7c00
#             0x21 (67)  CR0: not real mode
#             0x22 (69)  the last two bytes are not there
#             0x23 (71)  the stack lies on the image
#             0x24 (73)  IDTR: the interrupt vectors are not the 1 KiB at 0

    .include "common.inc"
    .include "serial.inc"
    .include "checks.inc"

    .code16
SERIAL 16
CHECKS 16

    call 1f
1:  xor eax, eax
    mov ds, ax
    pop ax
    sub ax, offset 1b - 0x7c00          # IP of the entry
    mov ebx, cs
    shl ebx, 4
    add eax, ebx
    mov [entry], eax
    mov eax, cr0
    mov [saved_cr0], eax
    movzx eax, sp
    mov ebx, ss
    shl ebx, 4
    add eax, ebx
    dec eax
    shr eax, 9                          # 0x7c00 to 0x7dff are one block of 512 bytes
    cmp eax, 0x7c00 >> 9
    sete byte ptr [stack_on_image]

    sidt [saved_idtr]
    ljmp 0, offset 2f                   # from here on CS is 0
2:  mov edi, offset checks
    call check16
    SAY16 "entry16 ok\n"
    FINISH PASS

    .section .data
checks:
    CHECK16 entry, 0xffffffff, 0x7c00, 0x20, "cs:ip"
    CHECK16 saved_cr0, CR0_PE, 0, 0x21, "cr0"
    CHECK16 0x7dfe, 0xffff, 0xaa55, 0x22, "end"
    CHECK16 stack_on_image, 0xff, 0, 0x23, "stack"
    CHECK16 saved_idtr, 0xffff03ff, 0x3ff, 0x24, "idtr"
    CHECK16 saved_idtr + 2, 0x00ffffff, 0, 0x24, "idtr base"
    .long 0

    .bss
entry:          .skip 4
saved_cr0:      .skip 4
stack_on_image: .skip 4
saved_idtr:     .skip 8
