# assist: ring-0 instructions that the kernel's emulator lacks, where ring 0 is interpreted.
#
# Loaded as   Multiboot 1 image
# Does        CMPXCHG16B, x87 and SSE instructions, INT3 and IRETQ, faults of CMPXCHG16B, and SSE
#             instructions that KVM's emulator lacks everywhere at gpa 0xd0000000, where no RAM is
#             (the test device of tests/support/guest_devices.ts keeps what is stored there).
# Prints      assist: ok
# Ends with   debug exit 0x10 (33); 0x11 (35) when nothing at 0xd0000000 keeps what is stored; or by
#             the check that fails:
#             0x20 (65)  CMPXCHG16B of equal values, 0x21 of others, 0x22 with LOCK
#             0x23 (71)  FNINIT and FNSTCW, 0x24 x87 arithmetic
#             0x25 (75)  SSE arithmetic, 0x26 a register kept over port exits, 0x27 FXSAVE and FXRSTOR
#             0x28 (81)  INT3's frame, 0x29 what it returns to
#             0x2a (85)  #GP of an operand that is not aligned, 0x2b its error code or RIP
#             0x2c (89)  #PF where nothing is mapped, 0x2d its error code or RIP, 0x2e its address,
#             0x2f (95)  registers after a fault
#             0x30 (97)  PADDD from device memory

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"

.equ CR0_EM, 1 << 2
.equ CR4_OSFXSR, 1 << 9
.equ DEVICE, 0xd0000000
.equ NOWHERE, 0x8000000000              # the second entry of the PML4: not present
.equ VECTOR_BP, 3
.equ VECTOR_GP, 13
.equ VECTOR_PF, 14
.equ PF_WRITE, 1 << 1

.macro FAIL_UNLESS condition, code
    j\condition fine\@
    mov al, \code
    jmp fail
fine\@:
.endm

main64:
    mov rax, cr0
    and eax, ~CR0_EM
    mov cr0, rax
    mov rax, cr4
    or eax, CR4_OSFXSR
    mov cr4, rax
    mov edi, VECTOR_BP
    mov eax, offset breakpoint
    call set_gate
    mov edi, VECTOR_GP
    mov eax, offset general_protection
    call set_gate
    mov edi, VECTOR_PF
    mov eax, offset page_fault
    call set_gate

    call exchange
    call floating_point
    call sse
    call breakpoints
    call faults
    call device
    mov bpl, al
    SAY64 "assist: ok\n"
    mov al, bpl
    FINISH al

# AL is the check that failed.
fail:
    mov bpl, al
    SAY64 "assist: check 0x"
    movzx eax, bpl
    call hex64
    SAY64 " fails\n"
    mov al, bpl
    FINISH al

# RDX:RAX = 128 bits of which no part is like another, RCX:RBX likewise.
values:
    mov rax, 0x1122334455667788
    mov rdx, 0x99aabbccddeeff00
    mov rbx, 0x0123456789abcdef
    mov rcx, 0xfedcba9876543210
    ret

exchange:
    call values
    mov [operand], rax
    mov [operand + 8], rdx
    cmpxchg16b [operand]
    FAIL_UNLESS e, 0x20
    cmp [operand], rbx
    FAIL_UNLESS e, 0x20
    cmp [operand + 8], rcx
    FAIL_UNLESS e, 0x20

    # Now it has RCX:RBX; RDX:RAX gets that.
    cmpxchg16b [operand]
    FAIL_UNLESS ne, 0x21
    cmp rax, rbx
    FAIL_UNLESS e, 0x21
    cmp rdx, rcx
    FAIL_UNLESS e, 0x21

    not rbx
    lock cmpxchg16b [operand]
    FAIL_UNLESS e, 0x22
    cmp [operand], rbx
    FAIL_UNLESS e, 0x22
    ret

floating_point:
    fninit
    mov word ptr [operand], 0
    fnstcw [operand]
    cmp word ptr [operand], 0x37f       # SDM 1 §8.1.5
    FAIL_UNLESS e, 0x23
    fldpi
    fld1
    faddp
    fld1
    fsubp
    fldpi
    fsubp
    fistp qword ptr [operand]
    cmp qword ptr [operand], 0
    FAIL_UNLESS e, 0x24
    fld1
    fld1
    faddp
    fistp qword ptr [operand]
    cmp qword ptr [operand], 2
    FAIL_UNLESS e, 0x24
    ret

sse:
    call values
    movq xmm1, rax
    movq xmm2, rdx
    punpcklqdq xmm1, xmm2
    movdqa [operand], xmm1
    paddd xmm1, [operand]
    movq rbx, xmm1
    mov rcx, 0x22446688aaccef10         # twice RAX, by halves
    cmp rbx, rcx
    FAIL_UNLESS e, 0x25
    movdqa xmm9, xmm1
    in al, POST                         # leaves the guest, and comes back
    movdqa [operand], xmm9
    cmp [operand], rcx
    FAIL_UNLESS e, 0x26

    fxsave [area]
    pxor xmm9, xmm9
    fninit
    fld1
    fxrstor [area]
    movq rbx, xmm9
    cmp rbx, rcx
    FAIL_UNLESS e, 0x27
    ret

breakpoints:
    mov dword ptr [seen], 0
    mov r12, rsp
    int3
behind_int3:
    cmp rsp, r12
    FAIL_UNLESS e, 0x29
    cmp dword ptr [seen], VECTOR_BP
    FAIL_UNLESS e, 0x29
    ret

breakpoint:
    mov dword ptr [seen], VECTOR_BP
    cmp qword ptr [rsp], offset behind_int3
    FAIL_UNLESS e, 0x28
    cmp qword ptr [rsp + 8], CODE64
    FAIL_UNLESS e, 0x28
    cmp qword ptr [rsp + 24], r12
    FAIL_UNLESS e, 0x28
    iretq

faults:
    call values
    mov r12, rsp
    mov dword ptr [seen], 0
    mov r13, offset after_general_protection
not_aligned:
    cmpxchg16b [operand + 8]
after_general_protection:
    cmp dword ptr [seen], VECTOR_GP
    FAIL_UNLESS e, 0x2a
    cmp qword ptr [error_code], 0
    FAIL_UNLESS e, 0x2b
    cmp qword ptr [fault_rip], offset not_aligned
    FAIL_UNLESS e, 0x2b

    mov rdi, NOWHERE
    mov r13, offset after_page_fault
not_mapped:
    lock cmpxchg16b [rdi + 16]
after_page_fault:
    cmp dword ptr [seen], VECTOR_PF
    FAIL_UNLESS e, 0x2c
    and qword ptr [error_code], ~PF_WRITE   # QEMU 7.2 takes it for a read
    FAIL_UNLESS z, 0x2d
    cmp qword ptr [fault_rip], offset not_mapped
    FAIL_UNLESS e, 0x2d
    mov rsi, cr2
    sub rsi, rdi
    cmp rsi, 16
    FAIL_UNLESS e, 0x2e

    mov r8, rax
    mov r9, rdx
    call values
    cmp rax, r8
    FAIL_UNLESS e, 0x2f
    cmp rdx, r9
    FAIL_UNLESS e, 0x2f
    cmp rsp, r12
    FAIL_UNLESS e, 0x2f
    ret

# Notes the fault and goes on at R13.
general_protection:
    mov dword ptr [seen], VECTOR_GP
    jmp note_fault
page_fault:
    mov dword ptr [seen], VECTOR_PF
note_fault:
    pop qword ptr [error_code]
    pop qword ptr [fault_rip]
    push r13
    iretq

# AL = the value to finish with.
device:
    call values
    mov edi, DEVICE
    mov [rdi], rax
    mov [rdi + 8], rdx
    cmp [rdi], rax
    mov al, PASS_WITHOUT_DEVICE
    jne 1f
    pxor xmm0, xmm0
    paddd xmm0, [rdi]
    movq r8, xmm0
    psrldq xmm0, 8
    movq r9, xmm0
    call values
    cmp r8, rax
    FAIL_UNLESS e, 0x30
    cmp r9, rdx
    FAIL_UNLESS e, 0x30
    mov al, PASS
1:  ret

    .bss
    .balign 64
area:       .skip 512
operand:    .skip 32
error_code: .skip 8
fault_rip:  .skip 8
seen:       .skip 4
