# ports: every form of port input and output, on what any PC has and on a test device.
#
# Loaded as   Multiboot 1 image
# Does        with the PC's devices: all sizes, both operand forms, what is left of the register,
#             and the string forms in both directions and across a page. With the test device of
#             tests/support/guest_devices.ts, when port 0x5004 reads its signature: single and
#             string transfers of every size through a FIFO, 6000 bytes at a time.
# Prints      ports: the PC answers; then ports: the test device answers, or: no test device
# Ends with   debug exit 0x10 (33); 0x11 (35) without a test device; or by the check that fails:
#             0x20 (65)  the UART's scratch register loses a value
#             0x21 (67)  the 8259A's mask loses a value (immediate port number)
#             0x22 (69)  the PCI address port loses a value (32 bits)
#             0x23 (71)  bytes and words of the PCI data port differ from the whole
#             0x24 (73)  RAX after an input of 8, 0x25 of 16, 0x26 of 32 bits from an unused port
#             0x27 (79)  rep outsb and insb through the UART's loopback; 0x28 backwards
#             0x29 (83)  a count of 0 moves something
#             0x2a (85)  rep outsd, 0x2b rep insd, 0x2c rep insw
#             0x30 (97)  the device: out and in of 8, 0x31 of 16, 0x32 of 32 bits
#             0x33 (103) rep outsb, then insd; 0x34 outsd, then insw; 0x35 outsw, then insb
#             0x36 (109) all backwards
#             0x37 (111) RSI, RDI or RCX is wrong after a string

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"

.equ UART_FCR, COM1 + 2
.equ UART_MCR, COM1 + 4
.equ UART_SCRATCH, COM1 + 7
.equ MCR_LOOPBACK, 1 << 4
.equ FIFO_BYTES, 16
.equ PIC1_MASK, 0x21
.equ PCI_ADDRESS, 0xcf8
.equ PCI_DATA, 0xcfc
# Nothing in a PC answers here.
.equ UNUSED_PORT, 0x7f0

# The test device: a FIFO of bytes, and a port that reads its signature and empties it when written.
.equ DEVICE_FIFO, 0x5000
.equ DEVICE_CONTROL, 0x5004
.equ DEVICE_SIGNATURE, 0x54524f50      # "PORT"
.equ STRING_BYTES, 6000

.macro FAIL_UNLESS condition, code
    j\condition fine\@
    mov al, \code
    jmp fail
fine\@:
.endm

main64:
    cld
    call scratch
    call pic_mask
    call pci
    call unused
    call uart_strings
    call pci_strings
    SAY64 "ports: the PC answers\n"

    mov dx, DEVICE_CONTROL
    in eax, dx
    cmp eax, DEVICE_SIGNATURE
    je 1f
    SAY64 "ports: no test device\n"
    FINISH PASS_WITHOUT_DEVICE
1:  call device_single
    call device_strings
    SAY64 "ports: the test device answers\n"
    FINISH PASS

# AL is the check that failed.
fail:
    mov bl, al
    mov dx, UART_MCR                    # out of loopback
    mov al, 0x03
    out dx, al
    SAY64 "ports: check 0x"
    movzx eax, bl
    mov bpl, bl
    call hex64
    SAY64 " fails\n"
    mov al, bpl
    FINISH al

scratch:
    mov dx, UART_SCRATCH
    mov ecx, 256
1:  lea eax, [rcx - 1]
    out dx, al
    not al
    in al, dx
    inc al
    cmp al, cl
    FAIL_UNLESS e, 0x20
    dec ecx
    jnz 1b
    ret

pic_mask:
    in al, PIC1_MASK
    mov bl, al
    mov ecx, 2
    mov bh, 0x5a
1:  mov al, bh
    out PIC1_MASK, al
    xor eax, eax
    in al, PIC1_MASK
    cmp al, bh
    FAIL_UNLESS e, 0x21
    not bh
    dec ecx
    jnz 1b
    mov al, bl
    out PIC1_MASK, al
    ret

pci:
    mov dx, PCI_ADDRESS
    mov eax, 0x80001234
    out dx, eax
    xor eax, eax
    in eax, dx
    cmp eax, 0x80001234
    FAIL_UNLESS e, 0x22
    mov eax, 0x80000000                 # bus 0, device 0, function 0, register 0
    out dx, eax
    mov dx, PCI_DATA
    in eax, dx
    mov ebx, eax
    mov ecx, 4                          # by bytes, from the top
    mov edx, PCI_DATA + 3
    xor ebp, ebp
1:  shl ebp, 8
    xor eax, eax
    in al, dx
    or ebp, eax
    dec edx
    dec ecx
    jnz 1b
    cmp ebp, ebx
    FAIL_UNLESS e, 0x23
    mov dx, PCI_DATA + 2                # by words
    in ax, dx
    shl eax, 16
    mov dx, PCI_DATA
    in ax, dx
    cmp eax, ebx
    FAIL_UNLESS e, 0x23
    ret

# SDM 1 §3.4.1.1: results of 8 and 16 bits leave the rest of RAX, those of 32 bits clear bits 63:32.
unused:
    mov dx, UNUSED_PORT
    mov rbx, 0x1122334455667788
    mov rax, rbx
    in al, dx
    mov rcx, 0x11223344556677ff
    cmp rax, rcx
    FAIL_UNLESS e, 0x24
    mov rax, rbx
    in ax, dx
    mov rcx, 0x112233445566ffff
    cmp rax, rcx
    FAIL_UNLESS e, 0x25
    mov rax, rbx
    in eax, dx
    mov ecx, 0xffffffff
    cmp rax, rcx
    FAIL_UNLESS e, 0x26
    ret

# In loopback what is transmitted is received (16550A data sheet §8.6.7); the FIFO holds 16 bytes.
uart_strings:
    mov dx, UART_FCR
    mov al, 0x07                        # FIFOs on and empty
    out dx, al
    mov dx, UART_MCR
    mov al, MCR_LOOPBACK
    out dx, al
    mov dx, COM1

    call fill
    mov esi, offset source
    mov ecx, FIFO_BYTES
    rep outsb
    cmp rsi, offset source + FIFO_BYTES
    FAIL_UNLESS e, 0x27
    mov edi, offset page_end - 5        # across a page
    mov ecx, FIFO_BYTES
    rep insb
    cmp rdi, offset page_end - 5 + FIFO_BYTES
    FAIL_UNLESS e, 0x27
    mov esi, offset source
    mov edi, offset page_end - 5
    mov ecx, FIFO_BYTES
    repe cmpsb
    FAIL_UNLESS e, 0x27

    mov esi, offset source
    mov edi, offset target
    xor ecx, ecx
    rep outsb
    rep insb
    cmp rsi, offset source
    FAIL_UNLESS e, 0x29
    cmp rdi, offset target
    FAIL_UNLESS e, 0x29

    std
    mov esi, offset source + FIFO_BYTES - 1
    mov ecx, FIFO_BYTES
    rep outsb
    mov edi, offset page_end + 7
    mov ecx, FIFO_BYTES
    rep insb
    cld
    cmp rdi, offset page_end + 7 - FIFO_BYTES
    FAIL_UNLESS e, 0x28
    mov esi, offset source
    mov edi, offset page_end + 8 - FIFO_BYTES
    mov ecx, FIFO_BYTES
    repe cmpsb
    FAIL_UNLESS e, 0x28

    mov dx, UART_MCR
    mov al, 0x03
    out dx, al
    ret

pci_strings:
    mov dword ptr [source], 0x80004444
    mov dword ptr [source + 4], 0x80001111
    mov dword ptr [source + 8], 0x80000000
    mov dx, PCI_ADDRESS
    mov esi, offset source
    mov ecx, 3
    rep outsd
    in eax, dx
    cmp eax, 0x80000000
    FAIL_UNLESS e, 0x2a
    mov dx, PCI_DATA
    in eax, dx
    mov ebx, eax
    mov edi, offset page_end - 6
    mov ecx, 4
    rep insd
    cmp rdi, offset page_end + 10
    FAIL_UNLESS e, 0x2b
    mov ecx, 4
    mov esi, offset page_end - 6
1:  lodsd
    cmp eax, ebx
    FAIL_UNLESS e, 0x2b
    dec ecx
    jnz 1b
    mov edi, offset page_end - 3
    mov ecx, 4
    rep insw
    mov ecx, 4
    mov esi, offset page_end - 3
2:  lodsw
    cmp ax, bx
    FAIL_UNLESS e, 0x2c
    dec ecx
    jnz 2b
    ret

device_single:
    mov dx, DEVICE_CONTROL
    out dx, eax
    mov dx, DEVICE_FIFO
    mov eax, 0x44332211
    out dx, eax
    shr eax, 16
    out dx, ax
    out dx, al
    xor eax, eax                        # the FIFO holds 11 22 33 44 33 44 33
    in al, dx
    cmp eax, 0x11
    FAIL_UNLESS e, 0x30
    in ax, dx
    cmp eax, 0x3322
    FAIL_UNLESS e, 0x31
    in eax, dx
    cmp eax, 0x33443344
    FAIL_UNLESS e, 0x32
    ret

# String output of one size, then string input of another, STRING_BYTES each.
.macro ROUND out_size, out_bytes, in_size, in_bytes, code
    call fill
    mov esi, offset source
    mov ecx, STRING_BYTES / \out_bytes
    rep outs\out_size
    cmp rsi, offset source + STRING_BYTES
    FAIL_UNLESS e, 0x37
    test rcx, rcx
    FAIL_UNLESS z, 0x37
    mov edi, offset target
    mov ecx, STRING_BYTES / \in_bytes
    rep ins\in_size
    cmp rdi, offset target + STRING_BYTES
    FAIL_UNLESS e, 0x37
    test rcx, rcx
    FAIL_UNLESS z, 0x37
    call compare
    FAIL_UNLESS e, \code
.endm

device_strings:
    mov dx, DEVICE_CONTROL
    out dx, eax
    mov dx, DEVICE_FIFO
    ROUND b, 1, d, 4, 0x33
    ROUND d, 4, w, 2, 0x34
    ROUND w, 2, b, 1, 0x35

    # Backwards out and in again: words arrive in the order in which they left.
    call fill
    std
    mov esi, offset source + STRING_BYTES - 2
    mov ecx, STRING_BYTES / 2
    rep outsw
    mov edi, offset target + STRING_BYTES - 2
    mov ecx, STRING_BYTES / 2
    rep insw
    cld
    call compare
    FAIL_UNLESS e, 0x36
    ret

# Fills `source` with bytes that depend on their place and on how often it was filled.
# Clobbers EAX, ECX, RDI.
fill:
    mov edi, offset source
    mov ecx, STRING_BYTES
    mov al, [fill_start]
1:  stosb
    add al, 7
    dec ecx
    jnz 1b
    inc byte ptr [fill_start]
    ret

# ZF is set when `target` is what `source` is. Clobbers RCX, RSI, RDI.
compare:
    mov esi, offset source
    mov edi, offset target
    mov ecx, STRING_BYTES
    repe cmpsb
    ret

    .bss
    .balign 4096
            .skip 4096
page_end:   .skip 4096
source:     .skip 8192
target:     .skip 8192
fill_start: .skip 1
