# entry64_elf: checks the 64-bit entry of an uncompressed Linux kernel (Linux
# Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
#
# Loaded as   ELF without a PVH note, linked at 16 MiB; the entry point takes the zero page in RSI
# Prints      that the entry was as the protocol says; then the command line, the memory map, and
#             the initrd's range and the sum of its bytes modulo 2^32
# Ends with   debug exit 0x10 (33), or by the check that fails:
#             0x30 to 0x35 (97 to 107): the zero page, see linux_entry.s
#             0x60 to 0x6b (193 to 215): the entry, see include/linux64.inc
#             0x7d (251) no usable range of the memory map holds the kernel
#             0x7e (253) something from the loader lies on the kernel

    .include "common.inc"
    .include "serial.inc"
    .include "checks.inc"
    .include "memory_map.inc"
    .include "handover.inc"
    .include "linux.inc"

    .code64
SERIAL 64
CHECKS 64
MEMORY_MAP 64
HANDOVER 64
LINUX 64
    .include "linux64.inc"

    .globl elf_entry
elf_entry:
    jmp entry64
