# echo: sends back what it receives, by interrupt.
#
# Loaded as   Multiboot 1 image
# Does        sleeps until the UART interrupts (IRQ 4 through the 8259A), then sends every byte that
#             has come back unchanged; nothing else is printed, so any byte stream but one with
#             Ctrl-D can be checked byte for byte
# Prints      ready, then the input
# Ends with   debug exit 0x10 after Ctrl-D (byte 4): the process exits with 33

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"
    .include "pic.inc"
    .include "uart_input.inc"

.equ CTRL_D, 4

main64:
    call pic_init
    call uart_input_init
    SAY64 "ready\n"
1:  call uart_read
    cmp al, CTRL_D
    je 3f
    mov ah, al
    mov dx, COM1_LINE_STATUS
2:  in al, dx
    test al, TRANSMITTER_EMPTY
    jz 2b
    mov dx, COM1
    mov al, ah
    out dx, al
    jmp 1b
3:  FINISH PASS
