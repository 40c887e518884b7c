# demo: the built-in guest, which denovisor boots when it has nothing else to boot.
#
# Loaded as   Multiboot 1 image
# Does        enters 64-bit mode with its own 4-level page tables; prints what it was given and what
#             it measures; then echoes the console, line by line
# Option      auto (a word on the command line): does not wait for input
# Prints      the lines below, from "denovisor built-in guest" to "Powering off through ACPI"
# Ends with   ACPI power-off (S5), after the line "quit", Ctrl-D, or at once with auto; cli; hlt
#             where ACPI offers no power-off

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"
    .include "memory_map.inc"

    .code64
SERIAL 64
MEMORY_MAP 64
    .include "long_mode.inc"
    .include "text64.inc"
    .include "acpi.inc"
    .include "pic.inc"
    .include "uart_input.inc"

.equ CTRL_D, 4
.equ BACKSPACE, 8
.equ LINE_FEED, 10
.equ CARRIAGE_RETURN, 13
.equ CTRL_U, 21
.equ DELETE, 127
.equ LINE_MAX, 126

# CPUID leaves (SDM 2A, CPUID): 0x15 has the TSC frequency; 0x40000000 and up belong to
# hypervisors, by VMware's convention, in which 0x40000010 has it too, in kHz.
.equ CPUID_TSC, 0x15
.equ CPUID_HYPERVISOR, 0x40000000
.equ CPUID_HYPERVISOR_TIMING, 0x40000010
.equ CPUID_EXTENDED, 0x80000000
.equ CPUID_BRAND, 0x80000002
.equ CPUID_ADDRESS_SIZES, 0x80000008
.equ HYPERVISOR_PRESENT, 1 << 31        # ECX of leaf 1

# Ticks of the PM timer to measure the TSC by: 10 ms.
.equ MEASURE_TICKS, PM_TIMER_HZ / 100
# Port writes to measure, after as many that only warm up.
.equ PORT_WRITES, 256

    .bss
    .balign 8
command_line:   .skip 8                 # address, never 0
tsc_hz:         .skip 8                 # 0 while unknown
text:           .skip 64
line:           .skip LINE_MAX + 2
    .text

main64:
    mov eax, offset no_text
    test dword ptr [rbx + MBI_FLAGS], MBI_HAS_COMMAND_LINE
    jz 1f
    mov eax, [rbx + MBI_COMMAND_LINE]
1:  mov [command_line], rax
    mov r15, rbx

    SAY64 "denovisor built-in guest: 64-bit mode, 4-level paging\n"
    SAY64 "Command line: "
    mov esi, [command_line]
    call print64
    SAY64 "\n"
    call show_loader
    call show_memory
    call show_processor
    call acpi_find
    call show_processors
    call show_frequency
    call show_port_time

    call wants_auto
    je power_off
    call pic_init
    call uart_input_init
    SAY64 "Type a line and it comes back; quit or Ctrl-D powers off\n"
2:  call read_line
    jc power_off
    cmp dword ptr [line], 0x74697571    # "quit"
    jne 3f
    cmp byte ptr [line + 4], 0
    je power_off
3:  SAY64 "You typed: "
    mov esi, offset line
    call print64
    SAY64 "\n"
    jmp 2b

power_off:
    SAY64 "Powering off through ACPI\n"
    call acpi_power_off
    SAY64 "ACPI offers no power-off here: halting\n"
    ret

show_loader:
    test dword ptr [r15 + MBI_FLAGS], MBI_HAS_LOADER_NAME
    jz 1f
    SAY64 "Boot loader: "
    mov esi, [r15 + MBI_LOADER_NAME]
    call print64
    SAY64 "\n"
1:  ret

# Prints the memory map and the sum of its usable ranges.
show_memory:
    test dword ptr [r15 + MBI_FLAGS], MBI_HAS_MAP
    jz 3f
    SAY64 "Memory map:\n"
    mov ebp, [r15 + MBI_MAP]
    mov r14d, [r15 + MBI_MAP_LENGTH]
    add r14, rbp                        # end of the map
    xor r13, r13                        # usable bytes
1:  lea rdi, [rbp + 4]
    SAY64 "  "
    call print_range64
    cmp dword ptr [rdi + 16], 1
    jne 2f
    add r13, [rdi + 8]
2:  mov eax, [rbp]                      # the size field does not count itself
    lea rbp, [rbp + rax + 4]
    cmp rbp, r14
    jb 1b
    SAY64 "Usable memory: "
    mov rax, r13
    shr rax, 10
    mov ecx, 1
    call print_decimal
    SAY64 " KiB\n"
    ret
3:  SAY64 "Memory map: none\n"
    ret

show_processor:
    SAY64 "Processor: "
    xor eax, eax
    cpuid
    mov [text], ebx
    mov [text + 4], edx
    mov [text + 8], ecx
    mov byte ptr [text + 12], 0
    mov esi, offset text
    call print64

    mov eax, CPUID_EXTENDED
    cpuid
    cmp eax, CPUID_BRAND + 2
    jb 3f
    mov ebp, CPUID_BRAND
    mov edi, offset text
1:  mov eax, ebp
    cpuid
    mov [rdi], eax
    mov [rdi + 4], ebx
    mov [rdi + 8], ecx
    mov [rdi + 12], edx
    add edi, 16
    inc ebp
    cmp ebp, CPUID_BRAND + 3
    jne 1b
    mov byte ptr [rdi], 0
    mov ebp, offset text - 1
2:  inc ebp                             # some processors pad the name on the left
    cmp byte ptr [rbp], ' '
    je 2b
    cmp byte ptr [rbp], 0
    je 3f
    SAY64 ", "
    mov esi, ebp
    call print64
3:  mov eax, CPUID_EXTENDED
    cpuid
    cmp eax, CPUID_ADDRESS_SIZES
    jb 4f
    mov eax, CPUID_ADDRESS_SIZES
    cpuid
    movzx ebp, al
    SAY64 ", "
    mov eax, ebp
    mov ecx, 1
    call print_decimal
    SAY64 " physical address bits"
4:  SAY64 "\nHypervisor: "
    call hypervisor_leaves
    jz 5f
    mov [text], ebx
    mov [text + 4], ecx
    mov [text + 8], edx
    mov byte ptr [text + 12], 0
    mov esi, offset text
    call print64
    SAY64 "\n"
    ret
5:  SAY64 "none in CPUID\n"
    ret

# EAX = the highest hypervisor leaf, with its signature in EBX, ECX, EDX; 0 without a hypervisor;
# ZF accordingly.
hypervisor_leaves:
    mov eax, 1
    cpuid
    xor eax, eax
    test ecx, HYPERVISOR_PRESENT
    jz 1f
    mov eax, CPUID_HYPERVISOR
    cpuid
    cmp eax, CPUID_HYPERVISOR
    jae 1f
    mov eax, CPUID_HYPERVISOR           # early KVM leaves EAX zero
1:  test eax, eax
    ret

show_processors:
    call acpi_cpus
    mov ebp, eax
    SAY64 "Processors in the ACPI tables: "
    mov eax, ebp
    mov ecx, 1
    call print_decimal
    SAY64 "\n"
    ret

# Finds the frequency of the time-stamp counter and says where it comes from.
show_frequency:
    xor eax, eax
    cpuid
    cmp eax, CPUID_TSC
    jb 1f
    mov eax, CPUID_TSC                  # TSC Hz = ECX * EBX / EAX
    cpuid
    test eax, eax
    jz 1f
    test ebx, ebx
    jz 1f
    test ecx, ecx
    jz 1f
    mov esi, eax
    mov eax, ecx
    mul rbx
    div rsi
    mov ebp, offset from_leaf_15
    jmp 9f

1:  call hypervisor_leaves
    cmp eax, CPUID_HYPERVISOR_TIMING
    jb 2f
    mov eax, CPUID_HYPERVISOR_TIMING
    cpuid
    test eax, eax
    jz 2f
    imul rax, rax, 1000
    mov ebp, offset from_hypervisor
    jmp 9f

2:  call acpi_pm_timer
    jz 8f
    mov r12d, edx
    rdtsc
    mov r13d, edx
    shl r13, 32
    or r13, rax
    mov edx, r12d
    mov ecx, MEASURE_TICKS
    call pm_wait
    test eax, eax
    jz 8f
    mov ebx, eax
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, r13
    mov ecx, PM_TIMER_HZ
    mul rcx
    div rbx
    mov ebp, offset from_pm_timer
    jmp 9f

8:  SAY64 "Time-stamp counter: nothing here tells its frequency\n"
    ret

9:  mov [tsc_hz], rax
    SAY64 "Time-stamp counter: "
    mov rax, [tsc_hz]
    xor edx, edx
    mov ecx, 1000000
    div rcx
    mov r12, rdx
    mov ecx, 1
    call print_decimal
    SAY64 "."
    mov rax, r12
    xor edx, edx
    mov ecx, 1000
    div rcx
    mov ecx, 3
    call print_decimal
    SAY64 " MHz "
    mov esi, ebp
    call print64
    ret

# Prints what a write to a port costs: with KVM, a round trip to denovisor.
show_port_time:
    cmp qword ptr [tsc_hz], 0
    je 2f
    call write_ports
    rdtsc
    mov r13d, edx
    shl r13, 32
    or r13, rax
    call write_ports
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, r13
    mov ecx, 1000000000 / PORT_WRITES
    mul rcx
    div qword ptr [tsc_hz]
    mov rbp, rax
    SAY64 "Port write: "
    mov rax, rbp
    mov ecx, 1
    call print_decimal
    SAY64 " ns\n"
2:  ret

write_ports:
    mov ecx, PORT_WRITES
1:  out POST, al
    dec ecx
    jnz 1b
    ret

# ZF is set when "auto" is a word of the command line, after the first one: the image's name.
wants_auto:
    mov rsi, [command_line]
1:  mov al, [rsi]
    test al, al
    jz 3f
    inc rsi
    cmp al, ' '
    jne 1b
    cmp dword ptr [rsi], 0x6f747561     # "auto"
    jne 1b
    mov al, [rsi + 4]
    test al, al
    jz 2f
    cmp al, ' '
    jne 1b
2:  ret
3:  inc eax                             # clears ZF
    ret

# Reads a line into `line`, zero-terminated, and echoes it; CF is set after Ctrl-D.
read_line:
    SAY64 "> "
    xor ebp, ebp
1:  call uart_read
    cmp al, CTRL_D
    je 8f
    cmp al, CARRIAGE_RETURN
    je 7f
    cmp al, LINE_FEED
    je 7f
    cmp al, BACKSPACE
    je 3f
    cmp al, DELETE
    je 3f
    cmp al, CTRL_U
    je 4f
    cmp al, ' '
    jb 1b
    cmp ebp, LINE_MAX
    jae 1b
    mov [rbp + line], al
    inc ebp
    call putc64
    jmp 1b
3:  test ebp, ebp
    jz 1b
    call 5f
    jmp 1b
4:  test ebp, ebp
    jz 1b
    call 5f
    jmp 4b
5:  dec ebp
    SAY64 "\b \b"
    ret
7:  mov byte ptr [rbp + line], 0
    SAY64 "\n"
    clc
    ret
8:  SAY64 "\n"
    stc
    ret

    .section .rodata
no_text:
    .asciz ""
from_leaf_15:
    .asciz "(CPUID leaf 0x15)\n"
from_hypervisor:
    .asciz "(CPUID leaf 0x40000010)\n"
from_pm_timer:
    .asciz "(measured by the ACPI PM timer)\n"
