# An option ROM that lets firmware boot a Linux kernel handed over through fw_cfg.
#
# The firmware finds it as the fw_cfg file genroms/linuxboot.rom, sees a Plug and Play boot device
# (a "bootstrap entry vector"), and calls it when it boots. The ROM copies the kernel's real-mode
# part, its protected-mode part, the initrd and the command line to the addresses that fw_cfg gives,
# and enters the kernel in real mode. The header fields that a loader must set (boot.rst, "The
# Real-Mode Kernel Header") are set already in what fw_cfg holds.
#
# Built by tools/guests.ts, which also sets both checksums. References: Plug and Play BIOS
# Specification 1.0A §3 (option ROMs), QEMU docs/specs/fw_cfg.rst, Linux
# Documentation/arch/x86/boot.rst.

.intel_syntax noprefix

.equ ROM_BYTES, 512

# fw_cfg: ports (selector 16 bits, data 8 bits, DMA address 2 x 32 bits big-endian) and items.
.equ FW_CFG_SELECTOR, 0x510
.equ FW_CFG_DATA, 0x511
.equ FW_CFG_DMA_HIGH, 0x514
.equ FW_CFG_DMA_LOW, 0x518
.equ ITEM_ID, 0x01
.equ ITEM_KERNEL_ADDRESS, 0x07
.equ ITEM_KERNEL_SIZE, 0x08
.equ ITEM_KERNEL_DATA, 0x11
.equ ITEM_INITRD_ADDRESS, 0x0a
.equ ITEM_INITRD_SIZE, 0x0b
.equ ITEM_INITRD_DATA, 0x12
.equ ITEM_COMMAND_LINE_ADDRESS, 0x13
.equ ITEM_COMMAND_LINE_SIZE, 0x14
.equ ITEM_COMMAND_LINE_DATA, 0x15
.equ ITEM_SETUP_ADDRESS, 0x16
.equ ITEM_SETUP_SIZE, 0x17
.equ ITEM_SETUP_DATA, 0x18
.equ ID_HAS_DMA, 1 << 1

# The control word of a DMA transfer; bits 31:16 hold the item to select.
.equ DMA_ERROR, 1 << 0
.equ DMA_READ, 1 << 1
.equ DMA_SELECT, 1 << 3

# Offsets in the real-mode part.
.equ SETUP_LOADFLAGS, 0x211
.equ SETUP_HEAP_END, 0x224
.equ LOADFLAGS_CAN_USE_HEAP, 0x80

# The stack's end where the kernel uses no heap, and the highest one that leaves SP some room.
.equ STACK_WITHOUT_HEAP, 0x9000
.equ STACK_HIGHEST, 0xfff0

    .text
    .code16
rom:
    .byte 0x55, 0xaa
    .byte ROM_BYTES / 512
    # The firmware's far call at initialization: a boot device is there (AX bits 5:4).
    mov ax, 0x20
    retf

    .org 0x18
    .word 0                     # no PCI data structure
    .word pnp_header

pnp_header:
    .ascii "$PnP"
    .byte 1                     # revision
    .byte 2                     # length in units of 16 bytes
    .word 0                     # no further header
    .byte 0
    .byte 0                     # checksum, set by tools/guests.ts
    .long 0                     # device identifier
    .word manufacturer
    .word product
    .byte 0x08, 0x80, 0         # device type: other system peripheral
    .byte 0x14                  # needed only to boot; an initial program load device
    .word 0                     # no boot connection vector
    .word 0                     # no disconnect vector
    .word boot
    .word 0
    .word 0                     # no static resources

manufacturer:
    .asciz "denovisor"
product:
    .asciz "Linux from fw_cfg"

# The bootstrap entry vector. It never returns: the kernel runs, or INT 18h tells the firmware that
# this device did not boot. CS is the ROM's segment; the stack below 7c00 is free at this time.
boot:
    cli
    cld
    xor ax, ax
    mov ss, ax
    mov sp, 0x7c00

    mov al, ITEM_ID
    call read_item
    mov si, offset no_dma
    test al, ID_HAS_DMA
    jz give_up

    mov ebx, ITEM_SETUP_ADDRESS | ITEM_SETUP_SIZE << 8 | ITEM_SETUP_DATA << 16
    call load
    mov ebx, ITEM_KERNEL_ADDRESS | ITEM_KERNEL_SIZE << 8 | ITEM_KERNEL_DATA << 16
    call load
    mov ebx, ITEM_INITRD_ADDRESS | ITEM_INITRD_SIZE << 8 | ITEM_INITRD_DATA << 16
    call load
    mov ebx, ITEM_COMMAND_LINE_ADDRESS | ITEM_COMMAND_LINE_SIZE << 8 | ITEM_COMMAND_LINE_DATA << 16
    call load

    mov al, ITEM_SETUP_ADDRESS
    call read_item
    shr eax, 4
    mov ds, ax

    # boot.rst, "Running the Kernel": every data segment and the stack at the setup part, SP at the
    # heap's end, interrupts off, and a far jump to 0x20 paragraphs further.
    mov cx, STACK_WITHOUT_HEAP
    test byte ptr [SETUP_LOADFLAGS], LOADFLAGS_CAN_USE_HEAP
    jz 1f
    mov cx, [SETUP_HEAP_END]
    add cx, 0x200
    jc 2f
    cmp cx, STACK_HIGHEST
    jbe 1f
2:  mov cx, STACK_HIGHEST
1:  mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    movzx esp, cx
    add ax, 0x20
    push ax
    push 0
    retf

# Reads the item of 32 bits AL, little-endian, into EAX. Clobbers CX, DX.
read_item:
    xor ah, ah
    mov dx, FW_CFG_SELECTOR
    out dx, ax
    mov dx, FW_CFG_DATA
    mov cx, 4
1:  in al, dx
    ror eax, 8
    loop 1b
    ret

# Copies the item in bits 23:16 of EBX, whose size is the value of the item in BH, to the address
# that is the value of the item in BL. An item of no bytes is left out. Clobbers EAX, ECX, EDX, ESI.
load:
    mov al, bh
    call read_item
    test eax, eax
    jz 2f
    mov esi, eax
    mov al, bl
    call read_item

    # The DMA descriptor, big-endian: control, length, address (64 bits); pushed from its end.
    bswap eax
    push eax
    push dword ptr 0
    bswap esi
    push esi
    mov eax, ebx
    and eax, 0x00ff0000
    or al, DMA_SELECT | DMA_READ
    bswap eax
    push eax

    # SS is 0, so SP is the descriptor's address. Writing the low half starts the transfer.
    xor eax, eax
    mov dx, FW_CFG_DMA_HIGH
    out dx, eax
    movzx eax, sp
    bswap eax
    mov dx, FW_CFG_DMA_LOW
    out dx, eax

    # The device clears the control word when it is done; DMA_ERROR is in its last byte.
    mov si, sp
1:  mov eax, ss:[si]
    bswap eax
    test eax, DMA_ERROR
    mov cx, offset cannot_read
    jnz 3f
    test eax, eax
    jnz 1b
    add sp, 16
2:  ret
3:  mov si, cx

# Prints the string at CS:SI (INT 10h function 0Eh) and hands the boot back.
give_up:
    sti
1:  mov al, cs:[si]
    inc si
    test al, al
    jz 2f
    mov ah, 0x0e
    mov bx, 7
    int 0x10
    jmp 1b
2:  int 0x18

no_dma:
    .asciz "linuxboot: fw_cfg has no DMA interface\r\n"
cannot_read:
    .asciz "linuxboot: fw_cfg does not give a part of the kernel\r\n"

    .org ROM_BYTES
