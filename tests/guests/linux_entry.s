# entry64, entry32_linux: a bzImage that checks every way into a Linux kernel (Linux
# Documentation/arch/x86/boot.rst). Like Linux, it goes on from each entry to the next one, so that
# a loader sees checked what it did itself, and QEMU's, which starts in real mode, all of it.
#
# Loaded as   bzImage of protocol 2.15, not relocatable; entry64 has the 64-bit entry
#             (XLF_KERNEL_64), entry32_linux does not
# Prints      each entry that was as the protocol says; then, at the last one, the command line, the
#             memory map, and the initrd's range and the sum of its bytes modulo 2^32
# Ends with   debug exit 0x10 (33), or by the check that fails:
#             0x20 (65)  real mode: CR0.PE set
#             0x21 (67)  IF set
#             0x22 (69)  IP is not 0
#             0x23 (71)  DS, 0x24 ES, 0x25 FS, 0x26 GS, 0x27 SS is not CS - 0x20
#             0x28 (81)  SP is not in the heap, above the code
#             0x29 (83)  type_of_loader, 0x2a loadflags
#             0x2b (87)  the BIOS gives no memory map
#             0x30 (97)  the zero page: the header's magic, 0x31 the boot flag, 0x32 type_of_loader,
#             0x33 (103) loadflags, 0x34 the sentinel, 0x35 no RSDP where it says
#             0x40 (129) 32-bit entry: CR0
#             0x41 (131) EFLAGS: IF set
#             0x42 (133) CS is not 0x10; 0x43 DS, 0x44 ES, 0x45 SS is not 0x18
#             0x46 (141) EBP, 0x47 EDI, 0x48 EBX is not 0
#             0x49 (147) the kernel runs where it is not linked
#             0x4a (149) the GDT's descriptor of CS: lower, 0x4b upper half; 0x4c, 0x4d that of DS
#             0x4e (157) CS, 0x4f DS, 0x50 ES, 0x51 SS: base not 0
#             0x60 (193) to 0x6b (215): the 64-bit entry, see include/linux64.inc
#             0x7d (251) no usable range of the memory map holds the kernel
#             0x7e (253) something from the loader lies on the kernel

    .include "common.inc"
    .include "serial.inc"
    .include "checks.inc"
    .include "memory_map.inc"
    .include "handover.inc"
    .include "linux.inc"

# The real-mode part's own zero page, in its segment, behind the code.
.equ OWN_PARAMS, 0x2000
.equ NEEDED_LOADFLAGS, LOADED_HIGH | CAN_USE_HEAP

    .code16
SERIAL 16
CHECKS 16

# ---------------------------------------------------------------------------- boot sector, header
    .section .setup, "ax"
    .org 0x1f1
    .byte setup_sectors
    .word 0                             # root_flags
    .long code_paragraphs               # syssize
    .word 0, 0xffff, 0                  # ram_size, vid_mode, root_dev
    .word 0xaa55
    .byte 0xeb, header_end - 0x202      # a short jump, whose operand tells the header's end
    .ascii "HdrS"
    .word 0x020f                        # version
    .long 0                             # realmode_swtch
    .word 0                             # start_sys_seg
    .word version_text - 0x200
    .byte 0                             # type_of_loader
    .byte LOADED_HIGH                   # loadflags
    .word 0                             # setup_move_size
    .long 0x100000                      # code32_start
    .long 0, 0                          # ramdisk_image, ramdisk_size
    .long 0                             # bootsect_kludge
    .word 0                             # heap_end_ptr
    .byte 0, 0                          # ext_loader_ver, ext_loader_type
    .long 0                             # cmd_line_ptr
    .long 0x7fffffff                    # initrd_addr_max
    .long 0x1000                        # kernel_alignment
    .byte 0                             # relocatable_kernel
    .byte 12                            # min_alignment
    .word HAS_64_BIT_ENTRY              # xloadflags: XLF_KERNEL_64 is bit 0
    .long 2047                          # cmdline_size
    .long 0                             # hardware_subarch
    .quad 0                             # hardware_subarch_data
    .long 0, 0                          # payload_offset, payload_length
    .quad 0                             # setup_data
    .quad 0x100000                      # pref_address
    .long memory_needed                 # init_size
    .long 0                             # handover_offset
    .long 0                             # kernel_info_offset
header_end:

# ------------------------------------------------------------------------------ real-mode entry
# CS:IP = setup segment + 0x20 : 0. DS is what is checked, so the segment comes from CS.
    mov bx, ds
    mov ax, cs
    sub ax, 0x20
    mov ds, ax
    mov [saved_sp], sp
    sub bx, ax
    mov [relative_ds], bx
.macro RELATIVE segment
    mov bx, \segment
    sub bx, ax
    mov [relative_\segment], bx
.endm
    RELATIVE es
    RELATIVE fs
    RELATIVE gs
    RELATIVE ss
    mov ss, ax
    mov sp, 0x1ff0
    mov es, ax
    pushfd
    pop dword ptr [saved_eflags16]
    mov eax, cr0
    mov [saved_cr0_16], eax
    call 1f
1:  pop ax
    sub ax, offset 1b - 0x200           # CS is 0x20 paragraphs above the linked address 0
    mov [saved_ip], ax

    # SP must lie above this code and not above the heap's end, which the loader has set.
    movzx eax, word ptr [saved_sp]
    dec ax
    movzx ecx, word ptr [BP_HEAP_END]
    add ecx, 0x200
    cmp eax, ecx
    setb byte ptr [stack_in_heap]
    cmp eax, 0x3000
    seta byte ptr [stack_above_code]
    cmp byte ptr [BP_LOADER_TYPE], 0
    setne byte ptr [has_loader_type]
    mov al, [BP_LOADFLAGS]
    mov [saved_loadflags], al

    # From here on as if linked: CS = the setup segment.
    push ds
    push offset linked
    retf
linked:
    mov edi, offset checks16
    call check16
    SAY16 "entered in real mode as the boot protocol says\n"

    # A zero page as Linux makes it: the header, and the memory map by INT 15h, AX = E820h
    # (ACPI 6.4 §15.1).
    mov di, OWN_PARAMS
    xor eax, eax
    mov cx, BP_BYTES / 4
    rep stosd
    mov si, 0x1f1
    mov di, OWN_PARAMS + 0x1f1
    mov cx, offset header_end - 0x1f1
    rep movsb
    mov di, OWN_PARAMS + BP_E820_TABLE
    xor ebx, ebx
2:  mov eax, 0xe820
    mov edx, 0x534d4150                 # "SMAP"
    mov ecx, E820_ENTRY_BYTES
    int 0x15
    jc 3f
    cmp eax, 0x534d4150
    jne 3f
    add di, E820_ENTRY_BYTES
    inc byte ptr [OWN_PARAMS + BP_E820_ENTRIES]
    cmp byte ptr [OWN_PARAMS + BP_E820_ENTRIES], E820_MAX
    je 3f
    test ebx, ebx
    jnz 2b
3:  cmp byte ptr [OWN_PARAMS + BP_E820_ENTRIES], 0
    jne 4f
    SAY16 "the BIOS gives no memory map\n"
    FINISH 0x2b

    # To the 32-bit entry, in the state that it asks for.
4:  cli
    in al, 0x92                         # the fast A20 gate
    or al, 2
    and al, 0xfe
    out 0x92, al
    xor eax, eax
    mov ax, ds
    shl eax, 4
    lea esi, [eax + OWN_PARAMS]
    add [gdt_pointer + 2], eax
    lgdt [gdt_pointer]
    mov ebp, [0x214]                    # code32_start
    mov [entry32_pointer], ebp
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 5f
5:  mov ax, BOOT_DS
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov edx, offset entry32_pointer
    xor ebx, ebx
    xor ebp, ebp
    xor edi, edi
    mov cx, ds
    movzx ecx, cx
    shl ecx, 4
    add edx, ecx
    mov ds, ax
    jmp fword ptr [edx]

    .balign 8, 0
gdt:
    .quad 0, 0
    .quad 0x00cf9b000000ffff            # BOOT_CS: 32-bit code
    .quad 0x00cf93000000ffff            # BOOT_DS
gdt_pointer:
    .word . - gdt - 1
    .long gdt
entry32_pointer:
    .long 0
    .word BOOT_CS
    .balign 4, 0
checks16:
    CHECK16 saved_cr0_16, 0x00000001, 0, 0x20, "cr0"
    CHECK16 saved_eflags16, 0x00000200, 0, 0x21, "eflags"
    CHECK16 saved_ip, 0xffff, 0, 0x22, "ip of the entry"
    CHECK16 relative_ds, 0xffff, 0, 0x23, "ds above the setup segment"
    CHECK16 relative_es, 0xffff, 0, 0x24, "es above the setup segment"
    CHECK16 relative_fs, 0xffff, 0, 0x25, "fs above the setup segment"
    CHECK16 relative_gs, 0xffff, 0, 0x26, "gs above the setup segment"
    CHECK16 relative_ss, 0xffff, 0, 0x27, "ss above the setup segment"
    CHECK16 stack_in_heap, 0xff, 1, 0x28, "whether sp lies below the heap's end"
    CHECK16 stack_above_code, 0xff, 1, 0x28, "whether sp lies above the code"
    CHECK16 has_loader_type, 0xff, 1, 0x29, "whether type_of_loader is set"
    CHECK16 saved_loadflags, NEEDED_LOADFLAGS, NEEDED_LOADFLAGS, 0x2a, "loadflags"
    .long 0
saved_cr0_16:       .long 0
saved_eflags16:     .long 0
saved_ip:           .long 0
saved_sp:           .long 0
relative_ds:        .long 0
relative_es:        .long 0
relative_fs:        .long 0
relative_gs:        .long 0
relative_ss:        .long 0
stack_in_heap:      .long 0
stack_above_code:   .long 0
has_loader_type:    .long 0
saved_loadflags:    .long 0
version_text:
    .asciz "1.0-denovisor-test entry checks"

# -------------------------------------------------------------------------------- 32-bit entry
    .section .head, "ax"
    .code32
    jmp entry32
    .org 0x200
    .code64
    jmp entry64

    .text
    .code32
SERIAL 32
CHECKS 32
.if !HAS_64_BIT_ENTRY
MEMORY_MAP 32
HANDOVER 32
LINUX 32
.endif

entry32:
    mov [saved_esi], esi
    mov [saved_ebx], ebx
    mov [saved_ebp], ebp
    mov [saved_edi], edi
    mov esp, offset stack_top32
    pushfd
    pop dword ptr [saved_eflags32]
    mov eax, cr0
    mov [saved_cr0_32], eax
    mov eax, cs
    mov [saved_cs32], eax
    mov eax, ds
    mov [saved_ds32], eax
    mov eax, es
    mov [saved_es32], eax
    mov eax, ss
    mov [saved_ss32], eax
    call 1f
1:  pop eax
    sub eax, offset 1b
    mov [saved_place32], eax
    PROBE cs
    PROBE ds
    PROBE es
    PROBE ss
    sgdt [saved_gdtr32]
    mov eax, [saved_gdtr32 + 2]
    mov ecx, [eax + BOOT_CS]
    mov [saved_code32], ecx
    mov ecx, [eax + BOOT_CS + 4]
    mov [saved_code32 + 4], ecx
    mov ecx, [eax + BOOT_DS]
    mov [saved_data32], ecx
    mov ecx, [eax + BOOT_DS + 4]
    mov [saved_data32 + 4], ecx
    mov edi, offset checks32
    call check32
    # The descriptors must also load.
    mov eax, BOOT_DS
    mov ds, eax
    mov es, eax
    mov ss, eax
    ljmp BOOT_CS, offset 2f
2:  SAY32 "entered in 32-bit mode as the boot protocol says\n"

.if HAS_64_BIT_ENTRY
    # To the 64-bit entry, in the state that it asks for: 4 GiB mapped one to one, the GDT changed.
    mov edi, offset page_tables
    mov ecx, 6 * 4096 / 4
    xor eax, eax
    rep stosd
    mov dword ptr [page_tables], offset page_tables + 4096 + 3
    mov edi, offset page_tables + 4096
    mov eax, offset page_tables + 2 * 4096 + 3
    mov ecx, 4
3:  mov [edi], eax
    add eax, 4096
    add edi, 8
    dec ecx
    jnz 3b
    mov edi, offset page_tables + 2 * 4096
    mov eax, 0x83                       # present, writable, 2 MiB
    mov ecx, 2048
4:  mov [edi], eax
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 4b
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov eax, offset page_tables
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    lgdt [gdt64_pointer]
    mov eax, BOOT_DS
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esi, [saved_esi]
    ljmp BOOT_CS, offset image_start + 0x200
.else
    mov ebp, [saved_esi]
    call boot_params32
    FINISH PASS
.endif

    .section .data
    .balign 8, 0
probe:          .long PROBE_VALUE
checks32:
    CHECK32 saved_cr0_32, 0x80000001, 0x00000001, 0x40, "cr0"
    CHECK32 saved_eflags32, 0x00020200, 0, 0x41, "eflags"
    CHECK32 saved_cs32, 0xffff, BOOT_CS, 0x42, "cs"
    CHECK32 saved_ds32, 0xffff, BOOT_DS, 0x43, "ds"
    CHECK32 saved_es32, 0xffff, BOOT_DS, 0x44, "es"
    CHECK32 saved_ss32, 0xffff, BOOT_DS, 0x45, "ss"
    CHECK32 saved_ebp, 0xffffffff, 0, 0x46, "ebp"
    CHECK32 saved_edi, 0xffffffff, 0, 0x47, "edi"
    CHECK32 saved_ebx, 0xffffffff, 0, 0x48, "ebx"
    CHECK32 saved_place32, 0xffffffff, 0, 0x49, "the distance from the linked address"
    # SDM 3A §3.4.5: base 0, limit 4 GiB, D set, present, DPL 0, readable code, writable data.
    CHECK32 saved_code32, 0xffffffff, 0x0000ffff, 0x4a, "the lower half of the descriptor of cs"
    CHECK32 saved_code32 + 4, 0xffcffaff, 0x00cf9a00, 0x4b, "the upper half of the descriptor of cs"
    CHECK32 saved_data32, 0xffffffff, 0x0000ffff, 0x4c, "the lower half of the descriptor of ds"
    CHECK32 saved_data32 + 4, 0xffcffaff, 0x00cf9200, 0x4d, "the upper half of the descriptor of ds"
    CHECK32 through_cs, 0xffffffff, PROBE_VALUE, 0x4e, "what cs sees"
    CHECK32 through_ds, 0xffffffff, PROBE_VALUE, 0x4f, "what ds sees"
    CHECK32 through_es, 0xffffffff, PROBE_VALUE, 0x50, "what es sees"
    CHECK32 through_ss, 0xffffffff, PROBE_VALUE, 0x51, "what ss sees"
    .long 0
    .balign 8, 0
saved_code32:   .quad 0
saved_data32:   .quad 0
saved_gdtr32:   .quad 0
saved_esi:      .long 0
saved_ebx:      .long 0
saved_ebp:      .long 0
saved_edi:      .long 0
saved_cr0_32:   .long 0
saved_eflags32: .long 0
saved_cs32:     .long 0
saved_ds32:     .long 0
saved_es32:     .long 0
saved_ss32:     .long 0
saved_place32:  .long 0
through_cs:     .long 0
through_ds:     .long 0
through_es:     .long 0
through_ss:     .long 0

    .bss
    .balign 16
    .skip 1024
stack_top32:
    .text

# -------------------------------------------------------------------------------- 64-bit entry
.if HAS_64_BIT_ENTRY
    .code64
SERIAL 64
CHECKS 64
MEMORY_MAP 64
HANDOVER 64
LINUX 64
    .include "linux64.inc"

    .section .data
    .balign 8, 0
gdt64:
    .quad 0, 0
    .quad 0x00af9b000000ffff            # BOOT_CS: 64-bit code
    .quad 0x00cf93000000ffff            # BOOT_DS
gdt64_pointer:
    .word . - gdt64 - 1
    .long gdt64

    .bss
    .balign 4096
page_tables:
    .skip 6 * 4096
.else
    .set entry64, image_start
.endif
