# smp: starts every processor of the MADT and lets them work at the same time.
#
# Loaded as   Multiboot 1 image; meant for 4 processors, runs with 2 to 64
# Does        sends INIT, SIPI, SIPI to each (SDM 3A §8.4.4). Each one reaches 64-bit mode,
#             increments a shared counter 1000 times with a locked instruction, does port I/O,
#             prints a line under a spin lock, and sleeps in HLT until the first processor
#             interrupts them all.
# Prints      smp: 4 processors; then, in any order, processor 1 runs, and so on by APIC identifier;
#             then smp: 3 started, counter 3000, 3 interrupts
# Ends with   debug exit 0x10 (33), or by the check that fails:
#             0x20 (65)  no MADT or PM timer, or only one processor
#             0x21 (67)  a processor does not start; 0x22 it starts at the wrong address
#             0x23 (71)  the counter is wrong
#             0x24 (73)  port input gives a processor what it must not
#             0x25 (75)  a processor does not wake from HLT

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"
    .include "text64.inc"
    .include "acpi.inc"
    .include "apic.inc"

# The others start in real mode in this page.
.equ TRAMPOLINE, 0x8000
.equ MAX_CPUS, 64
.equ STACK_BYTES, 1024
.equ WAKE_VECTOR, 0x40
.equ INCREMENTS, 1000
.equ PORT_ROUNDS, 50
.equ UART_SCRATCH, COM1 + 7
.equ UNUSED_PORT, 0x7f0
.equ CR0_CACHE_OFF, 0x60000000          # CD and NW, which INIT leaves set

# Ticks of the PM timer.
.equ TICKS_10_MS, PM_TIMER_HZ / 100
.equ TICKS_200_US, PM_TIMER_HZ / 5000
# Rounds of PAUSE before something counts as lost: seconds, whatever the processor.
.equ PATIENCE, 50000000

main64:
    call acpi_find
    call acpi_cpus
    mov r12d, eax                       # processors
    dec eax
    mov r13d, eax                       # the others
    jz fail_alone
    cmp r12d, MAX_CPUS
    ja fail_alone
    call acpi_pm_timer
    jz fail_alone
    mov r14d, edx                       # the PM timer's port
    call apic_enable
    jz fail_alone
    SAY64 "smp: "
    mov eax, r12d
    mov ecx, 1
    call print_decimal
    SAY64 " processors\n"

    mov esi, offset trampoline
    mov edi, TRAMPOLINE
    mov ecx, offset trampoline_end - trampoline
    rep movsb
    mov edi, WAKE_VECTOR
    mov eax, offset wake
    call set_gate

    # Each processor of the MADT but this one.
    mov rax, [apic_base]
    mov r15d, [rax + APIC_ID]
    shr r15d, 24
    mov ebx, 0x43495041                 # "APIC"
    call acpi_table
    lea rbp, [rax + MADT_ENTRIES]
    mov r12d, [rax + SDT_LENGTH]
    add r12, rax                        # the table's end
1:  cmp byte ptr [rbp], MADT_TYPE_LOCAL_APIC
    jne 2f
    test byte ptr [rbp + 4], MADT_CPU_USABLE
    jz 2f
    movzx eax, byte ptr [rbp + 3]       # APIC identifier
    cmp eax, r15d
    je 2f
    call start_processor
2:  movzx eax, byte ptr [rbp + 1]
    add rbp, rax
    cmp rbp, r12
    jb 1b

    mov edi, offset finished
    call wait_for_all
    mov al, 0x21
    jnz fail
    cmp byte ptr [wrong_start], 0
    mov al, 0x22
    jne fail
    imul eax, r13d, INCREMENTS
    cmp [counter], eax
    mov al, 0x23
    jne fail
    cmp byte ptr [wrong_input], 0
    mov al, 0x24
    jne fail

    mov rax, [apic_base]
    mov dword ptr [rax + APIC_ICR_LOW], ICR_TO_OTHERS | WAKE_VECTOR
    mov edi, offset woken
    call wait_for_all
    mov al, 0x25
    jnz fail

    SAY64 "smp: "
    mov eax, [finished]
    mov ecx, 1
    call print_decimal
    SAY64 " started, counter "
    mov eax, [counter]
    mov ecx, 1
    call print_decimal
    SAY64 ", "
    mov eax, [woken]
    mov ecx, 1
    call print_decimal
    SAY64 " interrupts\n"
    FINISH PASS

fail_alone:
    mov al, 0x20
# AL is the check that failed.
fail:
    mov bpl, al
    SAY64 "smp: check 0x"
    movzx eax, bpl
    call hex64
    SAY64 " fails\n"
    mov al, bpl
    FINISH al

# Starts the processor with APIC identifier EAX. Clobbers RAX, RBX, RCX, RDX, RSI, RDI.
start_processor:
    shl eax, 24
    push rax
    mov ecx, ICR_INIT
    call send
    mov ecx, TICKS_10_MS
    mov edx, r14d
    call pm_wait
    mov eax, [rsp]
    mov ecx, ICR_STARTUP | TRAMPOLINE >> 12
    call send
    mov ecx, TICKS_200_US
    mov edx, r14d
    call pm_wait
    pop rax
    mov ecx, ICR_STARTUP | TRAMPOLINE >> 12
    call send
    ret

# Sends the interrupt command ECX to the destination EAX. Clobbers RDI.
send:
    mov rdi, [apic_base]
    mov [rdi + APIC_ICR_HIGH], eax
    mov [rdi + APIC_ICR_LOW], ecx
1:  test dword ptr [rdi + APIC_ICR_LOW], ICR_PENDING
    jnz 1b
    ret

# Waits until the counter at RDI says that all others were there; ZF is set if so. Clobbers ECX.
wait_for_all:
    mov ecx, PATIENCE
1:  cmp [rdi], r13d
    je 2f
    pause
    dec ecx
    jnz 1b
    cmp [rdi], r13d
2:  ret

# ------------------------------------------------------------------------------ other processors
# The first code of each: copied to TRAMPOLINE, entered there with CS = TRAMPOLINE / 16 and IP = 0
# (SDM 3A §8.4.3).
trampoline:
    .code16
    cli
    mov bx, cs
    xor ax, ax
    mov ds, ax
    lgdt [TRAMPOLINE + trampoline_gdt - trampoline]
    mov eax, cr0
    and eax, ~CR0_CACHE_OFF & 0xffffffff
    or al, CR0_PE
    mov cr0, eax
    .byte 0x66, 0xea                    # a far jump with an offset of 32 bits
    .long processor32
    .word CODE32
trampoline_gdt:
    .word 4 * 8 - 1
    .long gdt64
trampoline_end:

    .code32
processor32:
    mov eax, DATA64
    mov ds, eax
    mov es, eax
    mov ss, eax
    cmp bx, TRAMPOLINE >> 4
    je 1f
    mov byte ptr [wrong_start], 1
1:  mov eax, 1
    lock xadd [started], eax
    inc eax
    shl eax, 10                         # STACK_BYTES each
    lea esp, [eax + stacks]
    call enter_paging
    ljmp CODE64, offset processor64

    .code64
processor64:
    mov eax, DATA64
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov eax, esp                        # the upper half of RSP is not defined
    mov rsp, rax
    lidt [idt_pointer]
    mov rax, [apic_base]
    mov dword ptr [rax + APIC_SPURIOUS], APIC_ENABLE | SPURIOUS_VECTOR
    mov ebp, [rax + APIC_ID]
    shr ebp, 24

    mov ecx, INCREMENTS
1:  lock inc dword ptr [counter]
    dec ecx
    jnz 1b

    # Input without a lock: all others ask the same device at the same time.
    mov ecx, PORT_ROUNDS
2:  mov dx, POST
    mov eax, ebp
    out dx, al
    mov dx, UNUSED_PORT
    xor eax, eax
    in al, dx
    cmp eax, 0xff
    jne 3f
    dec ecx
    jnz 2b
    # What this processor stores under the lock it must find again.
    call lock_console
    mov dx, UART_SCRATCH
    mov eax, ebp
    out dx, al
    xor eax, eax
    in al, dx
    cmp eax, ebp
    je 4f
3:  mov byte ptr [wrong_input], 1
4:  SAY64 "processor "
    mov eax, ebp
    mov ecx, 1
    call print_decimal
    SAY64 " runs\n"
    mov dword ptr [console], 0          # unlocks it

    lock inc dword ptr [finished]
5:  sti
    hlt
    jmp 5b

wake:
    push rax
    lock inc dword ptr [woken]
    mov rax, [apic_base]
    mov dword ptr [rax + APIC_EOI], 0
    pop rax
    iretq

# Clobbers EAX.
lock_console:
    mov eax, 1
    xchg [console], eax
    test eax, eax
    jz 1f
    pause
    jmp lock_console
1:  ret

    .bss
    .balign 16
stacks:         .skip MAX_CPUS * STACK_BYTES
started:        .skip 4
finished:       .skip 4
woken:          .skip 4
counter:        .skip 4
console:        .skip 4
wrong_start:    .skip 1
wrong_input:    .skip 1
