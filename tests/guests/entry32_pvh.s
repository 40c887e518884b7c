# entry32_pvh: checks the state and the start information of a PVH entry (Xen docs/misc/pvh.pandoc,
# "x86/HVM direct boot ABI"; xen/include/public/arch-x86/hvm/start_info.h).
#
# Loaded as   ELF with a note XEN_ELFNOTE_PHYS32_ENTRY, linked at 16 MiB
# Prints      the command line, the memory map and, of each module, its range, the sum of its bytes
#             modulo 2^32 and its string; or the first check that fails
# Ends with   debug exit 0x10 (33), or by the check that fails:
#             0x20 (65)  CR0: anything but PE (and ET, which is always set)
#             0x21 (67)  CR4 is not 0
#             0x22 (69)  EFLAGS: TF, IF or VM set
#             0x23 (71)  CS, 0x24 DS, 0x25 ES, 0x26 SS: base not 0
#             0x27 (79)  the A20 gate is closed
#             0x28 (81)  the magic number of the start information
#             0x29 (83)  its version, 0, has no memory map
#             0x2a (85)  no RSDP where it says
#             0x2b (87)  the bytes that the file does not have are not zero
#             0x7d (251) no usable range of the memory map holds the kernel
#             0x7e (253) the start information, the command line or a module lies on the kernel

    .include "common.inc"
    .include "serial.inc"
    .include "checks.inc"
    .include "memory_map.inc"
    .include "handover.inc"

.equ NOTE_PHYS32_ENTRY, 18
.equ START_INFO_MAGIC, 0x336ec578

# struct hvm_start_info; addresses have 64 bits.
.equ INFO_MAGIC, 0
.equ INFO_VERSION, 4
.equ INFO_MODULE_COUNT, 12
.equ INFO_MODULES, 16
.equ INFO_COMMAND_LINE, 24
.equ INFO_RSDP, 32
.equ INFO_MAP, 40
.equ INFO_MAP_ENTRIES, 48
.equ INFO_BYTES, 56
# struct hvm_modlist_entry and struct hvm_memmap_table_entry.
.equ MODULE_ADDRESS, 0
.equ MODULE_SIZE, 8
.equ MODULE_COMMAND_LINE, 16
.equ MODULE_BYTES, 32
.equ MAP_ENTRY_BYTES, 24

    .section .note, "a", @note
    .balign 4
    .long 4, 4, NOTE_PHYS32_ENTRY       # name and descriptor sizes, type
    .asciz "Xen"
    .long elf_entry

    .text
    .code32
SERIAL 32
CHECKS 32
MEMORY_MAP 32
HANDOVER 32

    .globl elf_entry
elf_entry:
    mov [saved_ebx], ebx
    mov eax, [bss_probe]
    mov [saved_bss], eax
    mov esp, offset stack_top
    pushfd
    pop dword ptr [saved_eflags]
    mov eax, cr0
    mov [saved_cr0], eax
    mov eax, cr4
    mov [saved_cr4], eax

    PROBE cs
    PROBE ds
    PROBE es
    PROBE ss

    # With the gate closed, address line 20 reads 0: the probe and its alias are the same.
    mov eax, [a20_probe + 0x100000]
    not eax
    mov [a20_probe], eax
    xor eax, [a20_probe + 0x100000]
    mov [a20_difference], eax

    mov eax, [ebx + INFO_MAGIC]
    mov [saved_magic], eax
    xor eax, eax
    cmp dword ptr [ebx + INFO_VERSION], 0
    setne al
    mov [has_map], eax
    mov eax, [ebx + INFO_RSDP]
    mov ecx, [eax]
    mov [saved_rsdp], ecx
    mov ecx, [eax + 4]
    mov [saved_rsdp + 4], ecx
    mov edi, offset checks
    call check32

    mov ebp, [saved_ebx]
    mov eax, ebp
    mov edx, INFO_BYTES
    call outside_kernel32
    mov eax, [ebp + INFO_COMMAND_LINE]
    mov edx, 1
    call outside_kernel32
    SAY32 "entry32_pvh: entered as PVH says\nCommand line: "
    mov esi, [ebp + INFO_COMMAND_LINE]
    test esi, esi
    jz 1f
    call print32
1:  SAY32 "\nMemory map:\n"
    call show_map
    call show_modules
    FINISH PASS

# Preserves EBP.
show_map:
    mov edi, [ebp + INFO_MAP]
    mov ecx, [ebp + INFO_MAP_ENTRIES]
    mov [left], ecx
1:  sub dword ptr [left], 1
    jc 2f
    call show_range32
    add edi, MAP_ENTRY_BYTES
    jmp 1b
2:  call kernel_in_range32
    ret

# Preserves EBP.
show_modules:
    mov edi, [ebp + INFO_MODULES]
    mov ecx, [ebp + INFO_MODULE_COUNT]
    mov [left], ecx
1:  sub dword ptr [left], 1
    jc 3f
    SAY32 "Module: "
    mov eax, [edi + MODULE_ADDRESS]
    mov ecx, [edi + MODULE_SIZE]
    call show_bytes32
    mov esi, [edi + MODULE_COMMAND_LINE]
    test esi, esi
    jz 2f
    push esi
    SAY32 " "
    pop esi
    call print32
2:  SAY32 "\n"
    add edi, MODULE_BYTES
    jmp 1b
3:  ret

    .section .data
    .balign 4, 0
probe:          .long PROBE_VALUE
checks:
    CHECK32 saved_cr0, 0xffffffef, 0x00000001, 0x20, "cr0"
    CHECK32 saved_cr4, 0xffffffff, 0, 0x21, "cr4"
    CHECK32 saved_eflags, 0x00020300, 0, 0x22, "eflags"
    CHECK32 through_cs, 0xffffffff, PROBE_VALUE, 0x23, "what cs sees"
    CHECK32 through_ds, 0xffffffff, PROBE_VALUE, 0x24, "what ds sees"
    CHECK32 through_es, 0xffffffff, PROBE_VALUE, 0x25, "what es sees"
    CHECK32 through_ss, 0xffffffff, PROBE_VALUE, 0x26, "what ss sees"
    CHECK32 a20_difference, 0xffffffff, 0xffffffff, 0x27, "the difference that A20 makes"
    CHECK32 saved_magic, 0xffffffff, START_INFO_MAGIC, 0x28, "the magic number"
    CHECK32 has_map, 0xffffffff, 1, 0x29, "a version with a memory map"
    CHECK32 saved_rsdp, 0xffffffff, 0x20445352, 0x2a, "the RSDP (RSD )"
    CHECK32 saved_rsdp + 4, 0xffffffff, 0x20525450, 0x2a, "the RSDP (PTR )"
    CHECK32 saved_bss, 0xffffffff, 0, 0x2b, "memory after the image"
    .long 0
saved_ebx:      .long 0
saved_cr0:      .long 0
saved_cr4:      .long 0
saved_eflags:   .long 0
saved_magic:    .long 0
saved_rsdp:     .long 0, 0
saved_bss:      .long -1
has_map:        .long 0
through_cs:     .long 0
through_ds:     .long 0
through_es:     .long 0
through_ss:     .long 0
a20_difference: .long 0
left:           .long 0

    .bss
    .balign 16
a20_probe:      .skip 4
bss_probe:      .skip 4
    .skip 512
stack_top:
