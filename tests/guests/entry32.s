# entry32: checks the state and the information that a Multiboot 1 loader hands over
# (Multiboot Specification 0.6.96 §3.2 and §3.3).
#
# Loaded as   Multiboot 1 image, with or without modules
# Prints      the command line, the loader's name, the memory map and, of each module, its range,
#             the sum of its bytes modulo 2^32 and its string; or the first check that fails
# Ends with   debug exit 0x10 (33), or by the check that fails:
#             0x20 (65)  EAX is not the magic number
#             0x21 (67)  EBX is not a multiple of 4
#             0x22 (69)  CR0: not protected mode, or paging on
#             0x23 (71)  EFLAGS: IF or VM set
#             0x24 (73)  CS, 0x25 DS, 0x26 ES, 0x27 FS, 0x28 GS, 0x29 SS: base not 0
#             0x2a (85)  the A20 gate is closed
#             0x2b (87)  the information has no memory sizes, map or command line
#             0x2c (89)  the bytes that the file does not have are not zero
#             0x7d (251) no usable range of the memory map holds the kernel
#             0x7e (253) the information, the command line or a module lies on the kernel

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"
    .include "checks.inc"
    .include "memory_map.inc"
    .include "handover.inc"

.equ MODULE_BYTES, 16

    .code32
SERIAL 32
CHECKS 32
MEMORY_MAP 32
HANDOVER 32

multiboot_entry:
    mov [saved_eax], eax
    mov [saved_ebx], ebx
    mov eax, [bss_probe]
    mov [saved_bss], eax
    mov esp, offset stack_top
    pushfd
    pop dword ptr [saved_eflags]
    mov eax, cr0
    mov [saved_cr0], eax

    PROBE cs
    PROBE ds
    PROBE es
    PROBE fs
    PROBE gs
    PROBE ss

    # With the gate closed, address line 20 reads 0: the probe and its low alias are the same.
    mov eax, [a20_probe - 0x100000]
    not eax
    mov [a20_probe], eax
    xor eax, [a20_probe - 0x100000]
    mov [a20_difference], eax

    mov eax, [ebx + MBI_FLAGS]
    mov [saved_flags], eax
    mov edi, offset checks
    call check32

    mov eax, ebx
    mov edx, 88                         # bytes of the information without its optional end
    call outside_kernel32
    mov eax, [ebx + MBI_COMMAND_LINE]
    mov edx, 1
    call outside_kernel32
    SAY32 "entry32: entered as Multiboot says\nCommand line: "
    mov ebp, [saved_ebx]
    mov esi, [ebp + MBI_COMMAND_LINE]
    call print32
    test dword ptr [ebp + MBI_FLAGS], MBI_HAS_LOADER_NAME
    jz 1f
    SAY32 "\nBoot loader: "
    mov esi, [ebp + MBI_LOADER_NAME]
    call print32
1:  SAY32 "\nUpper memory: 0x"
    mov eax, [ebp + MBI_MEM_UPPER]
    call hex32
    SAY32 " KiB\nMemory map:\n"
    call show_map
    test dword ptr [ebp + MBI_FLAGS], MBI_HAS_MODULES
    jz 2f
    call show_modules
2:  FINISH PASS

# Preserves EBP.
show_map:
    mov edi, [ebp + MBI_MAP]
1:  add edi, 4                          # the size field does not count itself
    call show_range32
    add edi, [edi - 4]
    mov eax, edi
    sub eax, [ebp + MBI_MAP]
    cmp eax, [ebp + MBI_MAP_LENGTH]
    jb 1b
    call kernel_in_range32
    ret

# Preserves EBP.
show_modules:
    mov edi, [ebp + MBI_MODULES]
    mov ecx, [ebp + MBI_MODULE_COUNT]
    mov [left], ecx
1:  sub dword ptr [left], 1
    jc 2f
    SAY32 "Module: "
    mov eax, [edi]
    mov ecx, [edi + 4]                  # the byte after the module
    sub ecx, eax
    call show_bytes32
    SAY32 " "
    mov esi, [edi + 8]
    call print32
    SAY32 "\n"
    add edi, MODULE_BYTES
    jmp 1b
2:  ret

    .section .data
    .balign 4, 0
.equ NEEDED_FLAGS, MBI_HAS_MEMORY | MBI_HAS_COMMAND_LINE | MBI_HAS_MAP
probe:          .long PROBE_VALUE
checks:
    CHECK32 saved_eax, 0xffffffff, MULTIBOOT_MAGIC, 0x20, "eax"
    CHECK32 saved_ebx, 0x00000003, 0, 0x21, "ebx"
    CHECK32 saved_cr0, 0x80000001, 0x00000001, 0x22, "cr0"
    CHECK32 saved_eflags, 0x00020200, 0, 0x23, "eflags"
    CHECK32 through_cs, 0xffffffff, PROBE_VALUE, 0x24, "what cs sees"
    CHECK32 through_ds, 0xffffffff, PROBE_VALUE, 0x25, "what ds sees"
    CHECK32 through_es, 0xffffffff, PROBE_VALUE, 0x26, "what es sees"
    CHECK32 through_fs, 0xffffffff, PROBE_VALUE, 0x27, "what fs sees"
    CHECK32 through_gs, 0xffffffff, PROBE_VALUE, 0x28, "what gs sees"
    CHECK32 through_ss, 0xffffffff, PROBE_VALUE, 0x29, "what ss sees"
    CHECK32 a20_difference, 0xffffffff, 0xffffffff, 0x2a, "the difference that A20 makes"
    CHECK32 saved_flags, NEEDED_FLAGS, NEEDED_FLAGS, 0x2b, "the information's flags"
    CHECK32 saved_bss, 0xffffffff, 0, 0x2c, "memory after the image"
    .long 0
saved_eax:      .long 0
saved_ebx:      .long 0
saved_cr0:      .long 0
saved_eflags:   .long 0
saved_flags:    .long 0
saved_bss:      .long -1
through_cs:     .long 0
through_ds:     .long 0
through_es:     .long 0
through_fs:     .long 0
through_gs:     .long 0
through_ss:     .long 0
a20_difference: .long 0
left:           .long 0

    .bss
    .balign 16
a20_probe:      .skip 4
bss_probe:      .skip 4
    .skip 512
stack_top:
