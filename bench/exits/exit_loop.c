/*
 * The peer of bench/exits.ts: the smallest loop over KVM_RUN that still dispatches by port and by
 * address. Runs a flat image at 0x7c00 until it writes to port 0xf4, and prints the number of exits
 * and the nanoseconds of CPU time they took. Usage: exit_loop IMAGE
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RAM_BYTES (2u << 20)
#define LOAD_ADDRESS 0x7c00
#define DEBUG_EXIT 0xf4

struct device {
    uint32_t (*read)(struct device *self, uint64_t address, uint32_t size);
    void (*write)(struct device *self, uint64_t address, uint32_t size, uint32_t value);
    uint64_t reads, writes;
};

static uint32_t unclaimed_read(struct device *self, uint64_t address, uint32_t size)
{
    (void)address, (void)size;
    self->reads++;
    return 0xffffffff;
}

static void unclaimed_write(struct device *self, uint64_t address, uint32_t size, uint32_t value)
{
    (void)address, (void)size, (void)value;
    self->writes++;
}

static struct device unclaimed = {unclaimed_read, unclaimed_write, 0, 0};
static struct device *ports[65536];

static int checked(int result, const char *what)
{
    if (result < 0)
        err(1, "%s", what);
    return result;
}

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int setup(int kvm, const char *image)
{
    int vm = checked(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    uint64_t identity_map = 0xfeffc000;
    checked(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map), "KVM_SET_IDENTITY_MAP_ADDR");
    checked(ioctl(vm, KVM_SET_TSS_ADDR, 0xfeffd000), "KVM_SET_TSS_ADDR");
    checked(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    checked(ioctl(vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");

    uint8_t *ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED)
        err(1, "mmap");
    int file = checked(open(image, O_RDONLY), image);
    checked((int)read(file, ram + LOAD_ADDRESS, 4096), image);
    close(file);
    struct kvm_userspace_memory_region region = {
        .memory_size = RAM_BYTES, .userspace_addr = (uint64_t)ram};
    checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");

    int vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[256];
    } cpuid = {.head.nent = 256};
    checked(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
    checked(ioctl(vcpu, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
    struct kvm_sregs sregs;
    checked(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    checked(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    struct kvm_regs regs = {.rip = LOAD_ADDRESS, .rsp = LOAD_ADDRESS, .rflags = 2};
    checked(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
    return vcpu;
}

static int port_exit(struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    struct device *device = ports[run->io.port];
    for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
        uint32_t value = 0;
        if (run->io.direction == KVM_EXIT_IO_IN) {
            value = device->read(device, run->io.port, run->io.size);
            memcpy(data, &value, run->io.size);
        } else {
            memcpy(&value, data, run->io.size);
            device->write(device, run->io.port, run->io.size, value);
        }
    }
    return run->io.port == DEBUG_EXIT;
}

static void mmio_exit(struct kvm_run *run)
{
    uint32_t size = run->mmio.len < 4 ? run->mmio.len : 4;
    uint32_t value = 0;
    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, size);
        unclaimed.write(&unclaimed, run->mmio.phys_addr, size, value);
    } else {
        value = unclaimed.read(&unclaimed, run->mmio.phys_addr, size);
        memcpy(run->mmio.data, &value, size);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        errx(2, "usage: exit_loop IMAGE");
    int kvm = checked(open("/dev/kvm", O_RDWR), "/dev/kvm");
    int vcpu = setup(kvm, argv[1]);
    int run_bytes = checked(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_run *run =
        mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED)
        err(1, "mmap");
    for (int port = 0; port < 65536; port++)
        ports[port] = &unclaimed;

    uint64_t exits = 0;
    uint64_t start = cpu_ns();
    for (int done = 0; !done; exits++) {
        checked(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
        switch (run->exit_reason) {
        case KVM_EXIT_IO:
            done = port_exit(run);
            break;
        case KVM_EXIT_MMIO:
            mmio_exit(run);
            break;
        default:
            errx(1, "exit reason %u", run->exit_reason);
        }
    }
    printf("%llu %llu\n", (unsigned long long)exits, (unsigned long long)(cpu_ns() - start));
    return 0;
}
