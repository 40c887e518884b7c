# exception: runs into an exception and reports it as every 64-bit guest of ours does.
#
# Loaded as   Multiboot 1 image
# Option      pf, at the end of the command line: a load from 0x123456789000, which is not mapped
#             (#PF, vector 14, with an error code); otherwise UD2 (#UD, vector 6, without one)
# Prints      unexpected exception 0x00000006, error code 0x00000000, rip 0x…, cr2 0x…
# Ends with   debug exit 0x7f: the process exits with 255

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"

main64:
    test dword ptr [rbx + MBI_FLAGS], MBI_HAS_COMMAND_LINE
    jz 2f
    mov esi, [rbx + MBI_COMMAND_LINE]
1:  cmp word ptr [rsi], 'p' | 'f' << 8
    je 3f
    inc rsi
    cmp byte ptr [rsi], 0
    jne 1b
2:  ud2
3:  cmp byte ptr [rsi + 2], 0
    jne 2b
    mov rax, 0x123456789000
    mov al, [rax]
