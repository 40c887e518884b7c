# mmio_top: device memory at the top of the physical address space, where a 32-bit truncation or a
# shared low part shows.
#
# Loaded as   Multiboot 1 image, with at least 8 MiB of RAM
# Does        takes the width M of physical addresses from CPUID and maps three 2 MiB pages there,
#             with bit M-1 set:
#               A  2^(M-1) + 0x00400000: RAM has the same low 32 bits
#               B  2^(M-1) + 0xd0000000: nothing has
#               C  2^M - 0x00200000: the last page of all
#             In each it stores 1, 2, 4 and 8 bytes (all of value 0x11, 0x2222, 0x44444444 and
#             0x88…88) at offsets 0x001, 0x012, 0x024 and 0x048, then loads 1, 2, 4 and 8 bytes from
#             offsets 0x101, 0x112, 0x124 and 0x148, and 8 from the page's end. With the test device
#             of tests/support/guest_devices.ts, each aligned 8 bytes read as their own gpa with all
#             bits inverted; where nothing is, they read as all ones or all zeros.
# Prints      mmio_top: a line for each page: its gpa, and whether a device answers
# Ends with   debug exit 0x10 (33); 0x11 (35) when no device answers; or by the check that fails:
#             0x20 (65)  CPUID does not tell the width; 0x21 it is below 36 or above 52
#             0x22 (69)  a load of 1, 0x23 of 2, 0x24 of 4, 0x25 of 8 bytes, 0x26 of the last 8
#             0x27 (79)  the RAM at the low alias of A has changed, or A reads as that RAM

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"
    .include "text64.inc"

# Virtual address of the window: the second entry of the PML4; page 0 is A, 1 is B, 2 is C.
.equ WINDOW, 0x8000000000
.equ LARGE_PAGE, 0x200000
.equ ALIAS, 0x00400000
.equ NO_ALIAS, 0xd0000000
.equ CPUID_EXTENDED, 0x80000000
.equ CPUID_ADDRESS_SIZES, 0x80000008
.equ RAM_PATTERN, 0x5555aaaa            # in each dword of the alias

.macro FAIL_UNLESS condition, code
    j\condition fine\@
    mov al, \code
    jmp fail
fine\@:
.endm

main64:
    mov eax, CPUID_EXTENDED
    cpuid
    cmp eax, CPUID_ADDRESS_SIZES
    FAIL_UNLESS ae, 0x20
    mov eax, CPUID_ADDRESS_SIZES
    cpuid
    movzx ecx, al
    cmp ecx, 36
    FAIL_UNLESS ae, 0x21
    cmp ecx, 52
    FAIL_UNLESS be, 0x21

    mov eax, 1
    shl rax, cl
    mov rdx, rax
    sub rdx, LARGE_PAGE
    mov [pages + 16], rdx               # C
    shr rax, 1
    lea rdx, [rax + ALIAS]
    mov [pages], rdx                    # A
    mov edx, NO_ALIAS
    add rdx, rax
    mov [pages + 8], rdx                # B

    # PML4[1] -> PDPT[0] -> three pages of 2 MiB (SDM 3A §4.5.4), not cached.
    mov dword ptr [pml4 + 8], offset window_pdpt + PTE_P + PTE_W
    mov dword ptr [window_pdpt], offset window_directory + PTE_P + PTE_W
    xor ecx, ecx
1:  mov rax, [rcx * 8 + pages]
    or rax, PTE_P + PTE_W + PTE_PS + PTE_PWT + PTE_PCD
    mov [rcx * 8 + window_directory], rax
    inc ecx
    cmp ecx, 3
    jne 1b
    mov rax, cr3
    mov cr3, rax

    mov edi, ALIAS
    mov ecx, 1024
    mov eax, RAM_PATTERN
    rep stosd

    xor r12d, r12d                      # the page's number
    xor r14d, r14d                      # 1 when a device answers
2:  call page
    inc r12d
    cmp r12d, 3
    jne 2b

    mov edi, ALIAS
    mov ecx, 1024
    mov eax, RAM_PATTERN
    repe scasd
    FAIL_UNLESS e, 0x27
    mov al, PASS
    test r14d, r14d
    jnz 3f
    mov al, PASS_WITHOUT_DEVICE
3:  FINISH al

# AL is the check that failed.
fail:
    mov bpl, al
    SAY64 "mmio_top: check 0x"
    movzx eax, bpl
    call hex64
    SAY64 " fails\n"
    mov al, bpl
    FINISH al

# Stores to and loads from page R12.
page:
    mov r13, [r12 * 8 + pages]
    mov rbx, r12
    shl rbx, 21
    mov rax, WINDOW
    add rbx, rax                        # the page's virtual address

    mov byte ptr [rbx + 0x001], 0x11
    mov word ptr [rbx + 0x012], 0x2222
    mov dword ptr [rbx + 0x024], 0x44444444
    mov rax, 0x8888888888888888
    mov [rbx + 0x048], rax

    # Does a device answer? Then everything must be exact; else all loads must be alike.
    xor ebp, ebp
    mov r15, [rbx]
    test r15, r15
    jz 1f
    cmp r15, -1
    je 1f
    mov ebp, 1
    mov r14d, 1
1:  mov ecx, 0x100
    call expect
    shr rax, 8
    cmp al, [rbx + 0x101]
    FAIL_UNLESS e, 0x22
    mov ecx, 0x110
    call expect
    shr rax, 16
    cmp ax, [rbx + 0x112]
    FAIL_UNLESS e, 0x23
    mov ecx, 0x120
    call expect
    shr rax, 32
    cmp eax, [rbx + 0x124]
    FAIL_UNLESS e, 0x24
    mov ecx, 0x148
    call expect
    cmp rax, [rbx + 0x148]
    FAIL_UNLESS e, 0x25
    mov ecx, LARGE_PAGE - 8
    call expect
    cmp rax, [rbx + LARGE_PAGE - 8]
    FAIL_UNLESS e, 0x26

    SAY64 "mmio_top: "
    mov rax, r13
    push rbx
    call print_hex
    pop rbx
    test ebp, ebp
    jz 2f
    SAY64 " device\n"
    ret
2:  SAY64 " nobody\n"
    ret

# RAX = what the aligned 8 bytes at offset ECX of the page must read as.
expect:
    mov rax, r15
    test ebp, ebp
    jz 1f
    lea rax, [r13 + rcx]
    not rax
1:  ret

    .bss
    .balign 4096
window_pdpt:        .skip 4096
window_directory:   .skip 4096
pages:              .skip 24
