# mmio: memory-mapped input and output of every size, by the instructions that drivers use.
#
# Loaded as   Multiboot 1 image
# Does        loads, stores, read-modify-write and string instructions at gpa 0xd0000000, where no
#             RAM is. There must be the test device of tests/support/guest_devices.ts: 2 KiB that
#             keep what is stored, a signature, and a count of accesses.
# Prints      mmio: ok, and whether the device counted the accesses
# Ends with   debug exit 0x10 (33); 0x11 (35) when the bytes are right but nothing counted accesses
#             (RAM would do); or by the check that fails:
#             0x20 (65)  nothing there keeps what is stored
#             0x21 (67)  a load of 1, 0x22 of 2, 0x23 of 4, 0x24 of 8 bytes after a store of 8
#             0x25 (75)  a load of 8 after stores of 1, 0x26 of 2, 0x27 of 4 bytes
#             0x28 (81)  not aligned: across 8 bytes
#             0x29 (83)  movzx and movsx
#             0x2a (85)  add, or, inc, not; 0x2b xchg, xadd, cmpxchg
#             0x2c (89)  push and pop; 0x2d rep movsb in, 0x2e rep movsq out; 0x2f rep stosd
#             0x30 (97)  lodsw, scasb, cmpsb
#             0x31 (99)  the number of accesses for a store, 0x32 a load, 0x33 an add

    .include "common.inc"
    .include "multiboot.inc"
    .include "serial.inc"

    .code64
SERIAL 64
    .include "long_mode.inc"

# The first 4 GiB are mapped one to one, so this is the address for instructions, too. Bit 31 is
# set: it does not fit a sign-extended displacement, hence the base register.
.equ DEVICE, 0xd0000000
.equ DEVICE_SIGNATURE, 0xff0            # offset of 8 bytes
.equ DEVICE_ACCESSES, 0xff8             # offset of 4 bytes: accesses to the first 2 KiB
.equ STRING_BYTES, 256

.macro FAIL_UNLESS condition, code
    j\condition fine\@
    mov al, \code
    jmp fail
fine\@:
.endm

main64:
    cld
    mov ebx, DEVICE
    mov r12, 0x8877665544332211
    mov r13, r12
    not r13

    mov [rbx], r12
    mov rax, [rbx]
    cmp rax, r12
    FAIL_UNLESS e, 0x20

    call loads
    call stores
    call extend
    call modify
    call stack
    call strings
    call count
    FINISH al

# AL is the check that failed.
fail:
    mov bpl, al
    SAY64 "mmio: check 0x"
    movzx eax, bpl
    call hex64
    SAY64 " fails\n"
    mov al, bpl
    FINISH al

# Each size at each offset of 16 bytes, against the same bytes in RAM.
loads:
    mov [rbx + 0x10], r12
    mov [rbx + 0x18], r13
    mov [mirror], r12
    mov [mirror + 8], r13
    xor ecx, ecx
1:  mov al, [rbx + rcx + 0x10]
    cmp al, [rcx + mirror]
    FAIL_UNLESS e, 0x21
    cmp ecx, 15
    jae 2f
    mov ax, [rbx + rcx + 0x10]
    cmp ax, [rcx + mirror]
    FAIL_UNLESS e, 0x22
    cmp ecx, 13
    jae 2f
    mov eax, [rbx + rcx + 0x10]
    cmp eax, [rcx + mirror]
    FAIL_UNLESS e, 0x23
    cmp ecx, 9
    jae 2f
    mov rax, [rbx + rcx + 0x10]
    cmp rax, [rcx + mirror]
    FAIL_UNLESS e, 0x24
2:  inc ecx
    cmp ecx, 16
    jne 1b
    ret

stores:
    mov ecx, 8
    mov rax, r12
    mov [rbx + rcx + 0x1f], al          # 0x27 down to 0x20
    rol rax, 8
    dec ecx
    jnz 1b
    mov rax, [rbx + 0x20]
    bswap rax
    cmp rax, r12
    FAIL_UNLESS e, 0x25
    mov [rbx + 0x30], r12w
    mov rax, r12
    shr rax, 16
    mov [rbx + 0x32], ax
    shr rax, 16
    mov [rbx + 0x34], ax
    shr rax, 16
    mov [rbx + 0x36], ax
    cmp [rbx + 0x30], r12
    FAIL_UNLESS e, 0x26
    mov [rbx + 0x38], r13d
    mov rax, r13
    shr rax, 32
    mov [rbx + 0x3c], eax
    cmp [rbx + 0x38], r13
    FAIL_UNLESS e, 0x27
    mov [rbx + 0x45], r12               # parts in two aligned quadwords
    mov rax, [rbx + 0x45]
    cmp rax, r12
    FAIL_UNLESS e, 0x28
    mov al, [rbx + 0x4a]
    cmp al, 0x66
    FAIL_UNLESS e, 0x28
    ret

extend:
    mov dword ptr [rbx + 0x50], 0x80ff7f80
    movzx eax, byte ptr [rbx + 0x50]
    cmp eax, 0x80
    FAIL_UNLESS e, 0x29
    movsx rax, byte ptr [rbx + 0x50]
    cmp rax, -0x80
    FAIL_UNLESS e, 0x29
    movsx eax, word ptr [rbx + 0x52]
    cmp eax, 0xffff80ff
    FAIL_UNLESS e, 0x29
    movsxd rax, dword ptr [rbx + 0x50]
    cmp rax, 0xffffffff80ff7f80
    FAIL_UNLESS e, 0x29
    ret

modify:
    mov qword ptr [rbx + 0x60], 0x10
    add dword ptr [rbx + 0x60], 0x22
    or byte ptr [rbx + 0x61], 0x80
    inc word ptr [rbx + 0x62]
    not dword ptr [rbx + 0x64]
    mov rax, 0xffffffff00018032
    cmp [rbx + 0x60], rax
    FAIL_UNLESS e, 0x2a
    mov eax, 0x12345678
    xchg [rbx + 0x60], eax
    cmp eax, 0x00018032
    FAIL_UNLESS e, 0x2b
    mov eax, 1
    lock xadd [rbx + 0x60], eax
    cmp eax, 0x12345678
    FAIL_UNLESS e, 0x2b
    mov eax, 0x12345679
    mov ecx, 0x0badcafe
    lock cmpxchg [rbx + 0x60], ecx
    FAIL_UNLESS e, 0x2b
    cmp [rbx + 0x60], ecx
    FAIL_UNLESS e, 0x2b
    ret

stack:
    mov [rbx + 0x70], r12
    push qword ptr [rbx + 0x70]
    pop rax
    cmp rax, r12
    FAIL_UNLESS e, 0x2c
    push r13
    pop qword ptr [rbx + 0x78]
    cmp [rbx + 0x78], r13
    FAIL_UNLESS e, 0x2c
    ret

strings:
    mov edi, offset source
    mov ecx, STRING_BYTES
    xor eax, eax
1:  stosb
    add al, 11
    dec ecx
    jnz 1b
    mov esi, offset source
    lea rdi, [rbx + 0x101]              # in, not aligned
    mov ecx, STRING_BYTES
    rep movsb
    mov eax, [source + 0x30]
    cmp [rbx + 0x131], eax
    FAIL_UNLESS e, 0x2d
    lea rsi, [rbx + 0x101]
    mov edi, offset target
    mov ecx, STRING_BYTES / 8
    rep movsq
    mov esi, offset source
    mov edi, offset target
    mov ecx, STRING_BYTES
    repe cmpsb
    FAIL_UNLESS e, 0x2e
    mov eax, 0xfeedf00d
    lea rdi, [rbx + 0x300]
    mov ecx, 5
    rep stosd
    cmp [rbx + 0x310], eax
    FAIL_UNLESS e, 0x2f
    lea ecx, [rbx + 0x314]
    cmp rdi, rcx
    FAIL_UNLESS e, 0x2f
    lea rsi, [rbx + 0x302]
    lodsw
    cmp ax, 0xfeed
    FAIL_UNLESS e, 0x30
    mov al, 0x0d
    lea rdi, [rbx + 0x303]
    mov ecx, 16
    repne scasb
    cmp ecx, 14
    FAIL_UNLESS e, 0x30
    lea rsi, [rbx + 0x300]
    lea rdi, [rbx + 0x304]
    mov ecx, 16
    repe cmpsb
    FAIL_UNLESS e, 0x30
    ret

# AL = how the run ends. One access of up to 4 bytes is one access to the device.
count:
    mov rax, 0x314f494d4d564e44         # "DNVMMIO1"
    cmp [rbx + DEVICE_SIGNATURE], rax
    je 1f
    SAY64 "mmio: ok; accesses were not counted\n"
    mov al, PASS_WITHOUT_DEVICE
    ret
1:  mov ebp, [rbx + DEVICE_ACCESSES]
    mov [rbx + 0x80], ebp
    mov ecx, [rbx + DEVICE_ACCESSES]
    sub ecx, ebp
    cmp ecx, 1
    FAIL_UNLESS e, 0x31
    mov ebp, [rbx + DEVICE_ACCESSES]
    mov ax, [rbx + 0x80]
    mov ecx, [rbx + DEVICE_ACCESSES]
    sub ecx, ebp
    cmp ecx, 1
    FAIL_UNLESS e, 0x32
    mov ebp, [rbx + DEVICE_ACCESSES]
    add dword ptr [rbx + 0x80], 1
    mov ecx, [rbx + DEVICE_ACCESSES]
    sub ecx, ebp
    cmp ecx, 2
    FAIL_UNLESS e, 0x33
    SAY64 "mmio: ok; accesses were counted\n"
    mov al, PASS
    ret

    .bss
    .balign 16
mirror:     .skip 16
source:     .skip STRING_BYTES
target:     .skip STRING_BYTES
