# reset: checks the state after power-up (SDM 3A §9.1.1, table 9-1) and how firmware is mapped.
#
# Loaded as   firmware (--bios): 64 KiB at the top of 4 GiB
# Prints      reset ok, or the check that fails
# Ends with   debug exit 0x10 (33), or by the check that fails:
#             0x20 (65)  EAX, 0x21 EBX, 0x22 ECX, 0x23 ESP, 0x24 EBP, 0x25 ESI, 0x26 EDI is not 0
#             0x27 (79)  EDX has no processor signature
#             0x28 (81)  EFLAGS; 0x29 CR0, 0x2a CR2, 0x2b CR3, 0x2c CR4; 0x2d EFER
#             0x2e (93)  CS, 0x2f DS, 0x30 ES, 0x31 FS, 0x32 GS, 0x33 SS
#             0x34 (105) GDTR, 0x35 IDTR: base and limit; 0x36 DR6, 0x37 DR7
#             0x38 (113) IA32_APIC_BASE; 0x39 IA32_PAT
#             0x3a (117) CS does not have its base at the top of 4 GiB
#             0x3b (119) the shadow at f000:0000 differs from the firmware

    .include "common.inc"
    .include "serial.inc"
    .include "checks.inc"

# What is checked is copied here, into RAM: linear address 0x8000.
.equ COPY_SEGMENT, 0x0800
.equ COPY, COPY_SEGMENT << 4

.equ MSR_APIC_BASE, 0x1b
.equ MSR_PAT, 0x277

    .code16
SERIAL 16
CHECKS 16

# In the reset state: CS at the top of 4 GiB, every data segment at 0. Variables are linked for the
# copy's segment, so that here they are COPY higher.
start:
    mov [saved_eax + COPY], eax
    mov [saved_ebx + COPY], ebx
    mov [saved_ecx + COPY], ecx
    mov [saved_edx + COPY], edx
    mov [saved_esp + COPY], esp
    mov [saved_ebp + COPY], ebp
    mov [saved_esi + COPY], esi
    mov [saved_edi + COPY], edi
    mov esp, offset stack_top + COPY
    pushfd
    pop dword ptr [saved_eflags + COPY]
.macro SAVE name
    mov eax, \name
    mov [saved_\name + COPY], eax
.endm
    SAVE cr0
    SAVE cr2
    SAVE cr3
    SAVE cr4
    SAVE dr6
    SAVE dr7
.macro SAVE_SEGMENT name
    mov ax, \name
    mov [saved_\name + COPY], ax
.endm
    SAVE_SEGMENT cs
    SAVE_SEGMENT ds
    SAVE_SEGMENT es
    SAVE_SEGMENT fs
    SAVE_SEGMENT gs
    SAVE_SEGMENT ss
    sgdt [saved_gdtr + COPY]
    sidt [saved_idtr + COPY]
    mov ecx, MSR_EFER
    rdmsr
    mov [saved_efer + COPY], eax
    mov ecx, MSR_APIC_BASE
    rdmsr
    mov [saved_apic_base + COPY], eax
    mov [saved_apic_base + COPY + 4], edx
    mov ecx, MSR_PAT
    rdmsr
    mov [saved_pat + COPY], eax
    mov [saved_pat + COPY + 4], edx

    # What the firmware and its shadow below 1 MiB hold.
    xor si, si
    mov ax, 0xf000
    mov fs, ax
1:  mov eax, cs:[si]
    mov [si + COPY], eax
    cmp eax, fs:[si]
    je 2f
    mov byte ptr [shadow_differs + COPY], 1
2:  add si, 4
    cmp si, offset copied_end
    jb 1b
    # A store into the shadow, where it is RAM, must not change what CS sees.
    not dword ptr fs:[marker]
    mov eax, cs:[marker]
    mov [saved_marker + COPY], eax
    ljmp COPY_SEGMENT, offset 3f

3:  mov ax, cs
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, offset stack_top
    test dword ptr [saved_edx], 0x0fff0f00
    setnz byte ptr [has_signature]
    mov edi, offset checks
    call check16
    SAY16 "reset ok\n"
    FINISH PASS

    .section .data
    .balign 4, 0
.equ MARKER, 0x6b72616d
marker:         .long MARKER
checks:
    CHECK16 saved_eax, 0xffffffff, 0, 0x20, "eax"
    CHECK16 saved_ebx, 0xffffffff, 0, 0x21, "ebx"
    CHECK16 saved_ecx, 0xffffffff, 0, 0x22, "ecx"
    CHECK16 saved_esp, 0xffffffff, 0, 0x23, "esp"
    CHECK16 saved_ebp, 0xffffffff, 0, 0x24, "ebp"
    CHECK16 saved_esi, 0xffffffff, 0, 0x25, "esi"
    CHECK16 saved_edi, 0xffffffff, 0, 0x26, "edi"
    CHECK16 has_signature, 0xff, 1, 0x27, "whether edx has a signature"
    CHECK16 saved_eflags, 0xffffffff, 0x2, 0x28, "eflags"
    CHECK16 saved_cr0, 0xffffffff, 0x60000010, 0x29, "cr0"
    CHECK16 saved_cr2, 0xffffffff, 0, 0x2a, "cr2"
    CHECK16 saved_cr3, 0xffffffff, 0, 0x2b, "cr3"
    CHECK16 saved_cr4, 0xffffffff, 0, 0x2c, "cr4"
    CHECK16 saved_efer, 0xffffffff, 0, 0x2d, "efer"
    CHECK16 saved_cs, 0xffff, 0xf000, 0x2e, "cs"
    CHECK16 saved_ds, 0xffff, 0, 0x2f, "ds"
    CHECK16 saved_es, 0xffff, 0, 0x30, "es"
    CHECK16 saved_fs, 0xffff, 0, 0x31, "fs"
    CHECK16 saved_gs, 0xffff, 0, 0x32, "gs"
    CHECK16 saved_ss, 0xffff, 0, 0x33, "ss"
    CHECK16 saved_gdtr, 0xffffffff, 0xffff, 0x34, "the limit and base of gdtr"
    CHECK16 saved_idtr, 0xffffffff, 0xffff, 0x35, "the limit and base of idtr"
    CHECK16 saved_dr6, 0xffffffff, 0xffff0ff0, 0x36, "dr6"
    CHECK16 saved_dr7, 0xffffffff, 0x400, 0x37, "dr7"
    CHECK16 saved_apic_base, 0xffffffff, 0xfee00900, 0x38, "the APIC base"
    CHECK16 saved_apic_base + 4, 0xffffffff, 0, 0x38, "the upper half of the APIC base"
    CHECK16 saved_pat, 0xffffffff, 0x00070406, 0x39, "the PAT"
    CHECK16 saved_pat + 4, 0xffffffff, 0x00070406, 0x39, "the upper half of the PAT"
    CHECK16 saved_marker, 0xffffffff, MARKER, 0x3a, "what cs sees after a store into the shadow"
    CHECK16 shadow_differs, 0xff, 0, 0x3b, "whether the shadow differs"
    .long 0

    .bss
saved_eax:      .skip 4
saved_ebx:      .skip 4
saved_ecx:      .skip 4
saved_edx:      .skip 4
saved_esp:      .skip 4
saved_ebp:      .skip 4
saved_esi:      .skip 4
saved_edi:      .skip 4
saved_eflags:   .skip 4
saved_cr0:      .skip 4
saved_cr2:      .skip 4
saved_cr3:      .skip 4
saved_cr4:      .skip 4
saved_dr6:      .skip 4
saved_dr7:      .skip 4
saved_cs:       .skip 4
saved_ds:       .skip 4
saved_es:       .skip 4
saved_fs:       .skip 4
saved_gs:       .skip 4
saved_ss:       .skip 4
saved_gdtr:     .skip 8
saved_idtr:     .skip 8
saved_efer:     .skip 4
saved_apic_base: .skip 8
saved_pat:      .skip 8
saved_marker:   .skip 4
has_signature:  .skip 4
shadow_differs: .skip 4
    .balign 16
    .skip 256
stack_top:

    .section .reset, "ax"
    jmp start
