# timer: interrupts from every timer of the PC, counted.
#
# Loaded as   Multiboot 1 image
# Does        sleeps in HLT for: 10 interrupts of the PIT through the 8259A; 10 of the PIT through
#             the I/O APIC, on the line that the MADT gives for IRQ 0; 10 of the local APIC's timer
#             in periodic mode, 1 in one-shot mode, and 5 in TSC-deadline mode where CPUID offers it
# Prints      one line for each before it starts, so that the last line of a run that hangs names
#             the timer that is dead; then timer: ok
# Ends with   debug exit 0x10 (33), or by the check that fails:
#             0x20 (65)  no MADT, I/O APIC or PM timer
#             0x21 (67)  the one-shot timer interrupts again
#             0x22 (69)  the one-shot timer's current count is not 0 in the end
#             0x23 (71)  the PM timer stands still

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"
    .include "pic.inc"
    .include "acpi.inc"
    .include "apic.inc"

# The PIT (8254 data sheet): channel 0 and the mode register; mode 2 divides the frequency.
.equ PIT_CHANNEL_0, 0x40
.equ PIT_MODE, 0x43
.equ PIT_RATE, 0x34                     # channel 0, low byte then high byte, mode 2
.equ PIT_STOP, 0x30                     # mode 0, which counts only after a count is written
.equ PIT_DIVISOR, 1193182 / 200         # 200 Hz

.equ PIT_PIC_VECTOR, PIC_VECTORS
.equ PIT_APIC_VECTOR, 0x30
.equ APIC_TIMER_VECTOR, 0x31

# The I/O APIC: a register is chosen by its index; entry n of its table is registers 0x10 + 2n.
.equ IOAPIC_DATA, 0x10
.equ IOAPIC_TABLE, 0x10
.equ IOAPIC_MASKED, 1 << 16
.equ MADT_IOAPIC_ADDRESS, 4             # in its entry (ACPI 6.4 §5.2.12.3)
.equ MADT_IOAPIC_FIRST_GSI, 8
.equ MADT_OVERRIDE_IRQ, 3               # in its entry (§5.2.12.5)
.equ MADT_OVERRIDE_GSI, 4

# Modes of the local APIC's timer (SDM 3A §10.5.4), its divisor, and CPUID's leaf 1 ECX bit.
.equ TIMER_PERIODIC, 1 << 17
.equ TIMER_DEADLINE, 2 << 17
.equ TIMER_MASKED, 1 << 16
.equ TIMER_DIVIDE_BY_16, 3
.equ TIMER_COUNT, 0x10000               # a millisecond at 1 GHz
.equ CPUID_TSC_DEADLINE, 1 << 24
.equ MSR_TSC_DEADLINE, 0x6e0
.equ DEADLINE_CYCLES, 2000000

.equ TICKS_20_MS, PM_TIMER_HZ / 50

main64:
    call acpi_find
    call acpi_pm_timer
    mov al, 0x20
    jz fail
    mov r12d, edx                       # the PM timer's port
    mov edi, PIT_PIC_VECTOR
    mov eax, offset pit_by_pic
    call set_gate
    mov edi, PIT_APIC_VECTOR
    mov eax, offset by_apic
    call set_gate
    mov edi, APIC_TIMER_VECTOR
    call set_gate

    SAY64 "timer: PIT through the 8259A\n"
    call pic_init
    mov al, 0xfe                        # IRQ 0
    out PIC1 + 1, al
    call start_pit
    mov ecx, 10
    call sleep
    mov al, 0xff
    out PIC1 + 1, al

    SAY64 "timer: PIT through the I/O APIC\n"
    call apic_enable
    mov al, 0x20
    jz fail
    call find_ioapic
    mov al, 0x20
    jz fail
    mov rcx, [apic_base]
    mov ecx, [rcx + APIC_ID]            # bits 31:24, where the table's entry has them, too
    and ecx, 0xff000000
    mov edx, r14d
    shl edx, 1
    add edx, IOAPIC_TABLE + 1
    call ioapic_write                   # destination
    dec edx
    mov ecx, PIT_APIC_VECTOR            # fixed, physical, edge, active high, not masked
    call ioapic_write
    mov ecx, 10
    call sleep
    mov ecx, IOAPIC_MASKED
    call ioapic_write
    mov al, PIT_STOP
    out PIT_MODE, al

    SAY64 "timer: local APIC, periodic\n"
    mov rbp, [apic_base]
    mov dword ptr [rbp + APIC_TIMER_DIVIDE], TIMER_DIVIDE_BY_16
    mov dword ptr [rbp + APIC_LVT_TIMER], TIMER_PERIODIC | APIC_TIMER_VECTOR
    mov dword ptr [rbp + APIC_TIMER_INITIAL], TIMER_COUNT
    mov ecx, 10
    call sleep
    mov dword ptr [rbp + APIC_TIMER_INITIAL], 0

    SAY64 "timer: local APIC, one shot\n"
    mov dword ptr [rbp + APIC_LVT_TIMER], APIC_TIMER_VECTOR
    mov dword ptr [rbp + APIC_TIMER_INITIAL], TIMER_COUNT
    mov ecx, 1
    call sleep
    sti                                 # no second one may come
    mov ecx, TICKS_20_MS
    mov edx, r12d
    call pm_wait
    cli
    test eax, eax
    mov al, 0x23
    jz fail
    cmp dword ptr [count], 1
    mov al, 0x21
    jne fail
    cmp dword ptr [rbp + APIC_TIMER_CURRENT], 0
    mov al, 0x22
    jne fail

    mov eax, 1
    cpuid
    test ecx, CPUID_TSC_DEADLINE
    jz 2f
    SAY64 "timer: local APIC, TSC deadline\n"
    mov dword ptr [rbp + APIC_LVT_TIMER], TIMER_DEADLINE | APIC_TIMER_VECTOR
    mfence                              # SDM 3A §10.5.4.1
    mov r13d, 5
1:  rdtsc
    add eax, DEADLINE_CYCLES
    adc edx, 0
    mov ecx, MSR_TSC_DEADLINE
    wrmsr
    mov ecx, 1
    call sleep
    dec r13d
    jnz 1b
    mov dword ptr [rbp + APIC_LVT_TIMER], TIMER_MASKED
2:  SAY64 "timer: ok\n"
    FINISH PASS

# AL is the check that failed.
fail:
    mov bpl, al
    SAY64 "timer: check 0x"
    movzx eax, bpl
    call hex64
    SAY64 " fails\n"
    mov al, bpl
    FINISH al

# Sleeps until ECX interrupts have been counted from now on. STI lets none in before HLT.
sleep:
    mov dword ptr [count], 0
1:  sti
    hlt
    cli
    cmp [count], ecx
    jb 1b
    ret

# Clobbers AL.
start_pit:
    mov al, PIT_RATE
    out PIT_MODE, al
    mov al, PIT_DIVISOR & 0xff
    out PIT_CHANNEL_0, al
    mov al, PIT_DIVISOR >> 8
    out PIT_CHANNEL_0, al
    ret

# R13 = the base of the I/O APIC, R14 = the pin of IRQ 0; ZF is set when there is none.
# Clobbers RAX, RBX, RCX, RDX, RSI, RDI.
find_ioapic:
    xor r13d, r13d
    xor r14d, r14d
    mov ebx, 0x43495041                 # "APIC"
    call acpi_table
    jz 5f
    lea rdi, [rax + MADT_ENTRIES]
    mov edx, [rax + SDT_LENGTH]
    add rdx, rax
1:  cmp rdi, rdx
    jae 4f
    cmp byte ptr [rdi], MADT_TYPE_IO_APIC
    jne 2f
    cmp dword ptr [rdi + MADT_IOAPIC_FIRST_GSI], 0
    jne 3f
    mov r13d, [rdi + MADT_IOAPIC_ADDRESS]
2:  cmp byte ptr [rdi], MADT_TYPE_OVERRIDE
    jne 3f
    cmp byte ptr [rdi + MADT_OVERRIDE_IRQ], 0
    jne 3f
    mov r14d, [rdi + MADT_OVERRIDE_GSI]
3:  movzx ecx, byte ptr [rdi + 1]
    add rdi, rcx
    test ecx, ecx
    jnz 1b
4:  test r13d, r13d
5:  ret

# Writes ECX to register EDX of the I/O APIC.
ioapic_write:
    mov [r13], edx
    mov [r13 + IOAPIC_DATA], ecx
    ret

pit_by_pic:
    push rax
    inc dword ptr [count]
    mov al, PIC_EOI
    out PIC1, al
    pop rax
    iretq

by_apic:
    push rax
    inc dword ptr [count]
    mov rax, [apic_base]
    mov dword ptr [rax + APIC_EOI], 0
    pop rax
    iretq

    .bss
    .balign 4
count:  .skip 4
