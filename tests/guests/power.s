# power: ends the run in the way that its command line names.
#
# Loaded as   Multiboot 1 image
# Options     the last letters of the command line choose:
#             acpi-off     S5 through PM1 control (ACPI 6.4 §7.4.2)
#             acpi-reset   the reset register of the FADT (ACPI 6.4 §4.8.3.6)
#             cf9          a hard reset through port 0xcf9
#             i8042        the keyboard controller's command 0xfe
#             port92       the fast reset of system control port A
# Prints      the name of the way
# Ends with   power-off or reset: the process exits with 0; debug exit 0x20 (65) when the command
#             line names no way, 0x21 (67) when ACPI does not offer it; otherwise it halts and waits
#             for the way to take effect

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"
    .include "acpi.inc"

.equ FAIL_NO_SUCH_WAY, 0x20
.equ FAIL_NOT_OFFERED, 0x21

# FADT: flags, the reset register (a generic address structure, §5.2.3.2) and its value.
.equ FADT_FLAGS, 112
.equ FADT_RESET_SPACE, 116
.equ FADT_RESET_ADDRESS, 120
.equ FADT_RESET_VALUE, 128
.equ FADT_RESET_SUPPORTED, 1 << 10
.equ SPACE_IO, 1

main64:
    mov r12d, offset nothing
    test dword ptr [rbx + MBI_FLAGS], MBI_HAS_COMMAND_LINE
    jz 1f
    mov r12d, [rbx + MBI_COMMAND_LINE]
1:  call acpi_find
    mov ebp, offset ways
2:  mov esi, [rbp]
    test esi, esi
    jz 3f
    call ends_with
    je 4f
    add ebp, 8
    jmp 2b
3:  SAY64 "the command line names no way to end the run\n"
    FINISH FAIL_NO_SUCH_WAY
4:  mov esi, [rbp]
    call print64
    SAY64 "\n"
    mov eax, [rbp + 4]
    call rax
5:  cli
    hlt
    jmp 5b

# ZF is set when the string at R12 ends with the one at RSI. Clobbers RAX, RCX, RDX, RDI.
ends_with:
    mov rdi, r12
    call length
    mov edx, ecx
    mov rdi, rsi
    call length
    sub edx, ecx
    js 3f
    lea rdi, [r12 + rdx]
    xor edx, edx
1:  mov al, [rsi + rdx]
    cmp al, [rdi + rdx]
    jne 2f
    inc edx
    test al, al
    jnz 1b
2:  ret
3:  or eax, 1                           # clears ZF
    ret

# ECX = the length of the string at RDI. Clobbers nothing else but the flags.
length:
    xor ecx, ecx
1:  cmp byte ptr [rdi + rcx], 0
    je 2f
    inc ecx
    jmp 1b
2:  ret

by_acpi_off:
    call acpi_power_off
not_offered:
    SAY64 "ACPI does not offer it\n"
    FINISH FAIL_NOT_OFFERED

by_acpi_reset:
    mov ebx, 0x50434146                 # "FACP"
    call acpi_table
    jz not_offered
    test dword ptr [rax + FADT_FLAGS], FADT_RESET_SUPPORTED
    jz not_offered
    cmp byte ptr [rax + FADT_RESET_SPACE], SPACE_IO
    jne not_offered
    mov edx, [rax + FADT_RESET_ADDRESS]
    mov al, [rax + FADT_RESET_VALUE]
    out dx, al
    ret

by_cf9:
    mov dx, 0xcf9
    mov al, 0x02                        # a hard reset is chosen first, then started
    out dx, al
    mov al, 0x06
    out dx, al
    ret

by_i8042:
1:  in al, 0x64
    test al, 0x02                       # the input buffer is full
    jnz 1b
    mov al, 0xfe                        # pulses output line 0: reset
    out 0x64, al
    ret

by_port92:
    in al, 0x92
    or al, 1
    out 0x92, al
    ret

    .section .rodata
ways:
    .long acpi_off, by_acpi_off
    .long acpi_reset, by_acpi_reset
    .long cf9, by_cf9
    .long i8042, by_i8042
    .long port92, by_port92
    .long 0
acpi_off:   .asciz "acpi-off"
acpi_reset: .asciz "acpi-reset"
cf9:        .asciz "cf9"
i8042:      .asciz "i8042"
port92:     .asciz "port92"
nothing:    .asciz ""
