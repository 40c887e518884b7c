# generator: makes code and runs it, for ever.
#
# Loaded as   Multiboot 1 image
# Does        writes a function into each page from 2 MiB to the end of RAM but 64 KiB, and again from
#             the beginning: a loop of random constants, which it runs up to 16,000 times, and whose
#             result it compares with what the same loop of its own gives
# Prints      a dot for every 1024 functions
# Ends with   debug exit 0x20 (65) when a function gives something else; otherwise never

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

.equ AREA, 0x200000
.equ PAGE, 4096
.equ MARGIN, 0x10000
.equ PER_DOT, 1024
.equ LONGEST, 0x3fff
# Numerical Recipes' linear congruential generator (second edition, §7.1, "An Even Quicker Generator").
.equ MULTIPLIER, 1664525
.equ INCREMENT, 1013904223

    .code32
SERIAL 32

multiboot_entry:
    mov esp, offset stack_top
    mov eax, [ebx + MBI_MEM_UPPER]
    add eax, 1024
    shl eax, 10
    sub eax, MARGIN
    mov area_end, eax
    xor ebx, ebx                    # functions since the last dot
    mov esi, 1                      # the random number

round:
    mov edi, AREA
page:
    call random
    mov start, eax
    call random
    mov factor, eax
    call random
    mov term, eax
    call random
    shr eax, 10
    and eax, LONGEST
    inc eax
    mov count, eax

# The function: mov eax, start; mov ecx, count; 1: imul eax, eax, factor; add eax, term; dec ecx;
# jnz 1b; ret
    mov byte ptr [edi], 0xb8
    mov eax, start
    mov [edi + 1], eax
    mov byte ptr [edi + 5], 0xb9
    mov eax, count
    mov [edi + 6], eax
    mov word ptr [edi + 10], 0xc069
    mov eax, factor
    mov [edi + 12], eax
    mov byte ptr [edi + 16], 0x05
    mov eax, term
    mov [edi + 17], eax
    mov dword ptr [edi + 21], 0xc3f27549
    call edi
    mov edx, eax

    mov eax, start
    mov ecx, count
1:  imul eax, factor
    add eax, term
    dec ecx
    jnz 1b
    cmp eax, edx
    je 2f
    FINISH 0x20

2:  inc ebx
    cmp ebx, PER_DOT
    jb 3f
    xor ebx, ebx
    mov al, '.'
    call putc32
3:  add edi, PAGE
    cmp edi, area_end
    jb page
    jmp round

# The next random number in EAX.
random:
    imul esi, esi, MULTIPLIER
    add esi, INCREMENT
    mov eax, esi
    ret

    .bss
    .balign 16
area_end: .skip 4
start:  .skip 4
count:  .skip 4
factor: .skip 4
term:   .skip 4
    .skip 256
stack_top:
