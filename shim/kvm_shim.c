#define _GNU_SOURCE
#include "kvm_shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.1 has it in <linux/userfaultfd.h>; older headers do not. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xaa, 0x00)
#endif

/*
 * A region identifier is slot + generation * REGION_SLOTS; the generation counts the uses of the
 * slot, from 1 on, so that an identifier outlives its region without ever naming another one.
 */
#define REGION_SLOTS 4096
#define LAST_GENERATION (INT32_MAX / REGION_SLOTS - 1)

struct region {
    uint8_t *base; /* NULL: free */
    uint64_t length;
    int32_t generation;
    bool mapped; /* by kvm_shim_region_map */
};

static struct region regions[REGION_SLOTS];
static pthread_mutex_t regions_lock = PTHREAD_MUTEX_INITIALIZER;

/* The signal that kicks; 0 while there is none. */
static int kick_signal;

static void on_kick(int signal)
{
    (void)signal;
}

/*
 * Takes the first real-time signal that nobody else handles. No SA_RESTART: the signal is there to
 * make system calls return.
 */
__attribute__((constructor)) static void install_kick_handler(void)
{
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++) {
        struct sigaction now;
        if (sigaction(signal, NULL, &now) != 0 || now.sa_handler != SIG_DFL)
            continue;
        struct sigaction kick;
        memset(&kick, 0, sizeof kick);
        kick.sa_handler = on_kick;
        if (sigaction(signal, &kick, NULL) == 0) {
            kick_signal = signal;
            return;
        }
    }
}

/* A system call's result in the form of this library. */
static int32_t result(long value)
{
    return value < 0 ? -errno : (int32_t)value;
}

/* The region's slot, or NULL. The caller holds regions_lock. */
static struct region *find(int32_t id)
{
    if (id < REGION_SLOTS)
        return NULL;
    struct region *region = &regions[id % REGION_SLOTS];
    return region->base != NULL && region->generation == id / REGION_SLOTS ? region : NULL;
}

/* The bytes, or NULL when they are not all in the region. The caller holds regions_lock. */
static uint8_t *within(int32_t id, uint64_t offset, uint64_t length)
{
    struct region *region = find(id);
    if (region == NULL || offset > region->length || length > region->length - offset)
        return NULL;
    return region->base + offset;
}

static uint8_t *locked_within(int32_t id, uint64_t offset, uint64_t length)
{
    pthread_mutex_lock(&regions_lock);
    uint8_t *at = within(id, offset, length);
    pthread_mutex_unlock(&regions_lock);
    return at;
}

static int32_t add(void *base, uint64_t length, bool mapped)
{
    int32_t id = -ENOSPC;
    pthread_mutex_lock(&regions_lock);
    for (int32_t slot = 0; slot < REGION_SLOTS; slot++) {
        struct region *region = &regions[slot];
        if (region->base != NULL || region->generation == LAST_GENERATION)
            continue;
        region->base = base;
        region->length = length;
        region->generation++;
        region->mapped = mapped;
        id = region->generation * REGION_SLOTS + slot;
        break;
    }
    pthread_mutex_unlock(&regions_lock);
    return id;
}

int32_t kvm_shim_abi_version(void)
{
    return KVM_SHIM_ABI_VERSION;
}

int32_t kvm_shim_region_add(void *base, uint64_t length)
{
    if (base == NULL || length == 0 || length > UINTPTR_MAX - (uintptr_t)base)
        return -EINVAL;
    return add(base, length, false);
}

int32_t kvm_shim_region_map(int32_t fd, uint64_t file_offset, uint64_t length)
{
    int flags = fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *base = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, (off_t)file_offset);
    if (base == MAP_FAILED)
        return -errno;
    int32_t id = add(base, length, true);
    if (id < 0)
        munmap(base, length);
    return id;
}

int32_t kvm_shim_region_overlay(int32_t region, uint64_t offset, uint64_t length, int32_t fd)
{
    uint8_t *at = locked_within(region, offset, length);
    struct stat file;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
        return -EPERM;
    if (fstat(fd, &file) != 0)
        return -errno;
    if (at == NULL || (uint64_t)file.st_size < length)
        return -EINVAL;
    int flags = MAP_SHARED | MAP_FIXED;
    return mmap(at, length, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED ? -errno : 0;
}

int32_t kvm_shim_region_remove(int32_t id)
{
    pthread_mutex_lock(&regions_lock);
    struct region *region = find(id);
    if (region == NULL) {
        pthread_mutex_unlock(&regions_lock);
        return -EINVAL;
    }
    struct region removed = *region;
    region->base = NULL;
    pthread_mutex_unlock(&regions_lock);
    return removed.mapped ? result(munmap(removed.base, removed.length)) : 0;
}

int64_t kvm_shim_region_address(int32_t region, uint64_t offset, uint64_t length)
{
    uint8_t *at = locked_within(region, offset, length);
    return at == NULL ? -EINVAL : (int64_t)(uintptr_t)at;
}

int32_t kvm_shim_open(int32_t region, uint32_t offset, uint32_t length, int32_t flags)
{
    const char *path = (const char *)locked_within(region, offset, length);
    if (path == NULL || memchr(path, 0, length) == NULL)
        return -EINVAL;
    return result(open(path, flags | O_CLOEXEC));
}

int32_t kvm_shim_close(int32_t fd)
{
    return result(close(fd));
}

int32_t kvm_shim_ioctl(int32_t fd, uint32_t request, uint32_t argument)
{
    return result(ioctl(fd, request, (unsigned long)argument));
}

int32_t kvm_shim_ioctl_at(int32_t fd, uint32_t request, int32_t region, uint32_t offset,
                          uint32_t length)
{
    uint8_t *at = locked_within(region, offset, length);
    if (at == NULL || length < _IOC_SIZE(request))
        return -EINVAL;
    return result(ioctl(fd, request, at));
}

int32_t kvm_shim_read(int32_t fd, int32_t region, uint32_t offset, uint32_t length)
{
    uint8_t *at = locked_within(region, offset, length);
    if (at == NULL || length > INT32_MAX)
        return -EINVAL;
    return result(read(fd, at, length));
}

int32_t kvm_shim_write(int32_t fd, int32_t region, uint32_t offset, uint32_t length)
{
    uint8_t *at = locked_within(region, offset, length);
    if (at == NULL || length > INT32_MAX)
        return -EINVAL;
    return result(write(fd, at, length));
}

int32_t kvm_shim_poll(int32_t fd_a, int32_t fd_b, int32_t timeout_ms)
{
    struct pollfd polled[2] = {{.fd = fd_a, .events = POLLIN}, {.fd = fd_b, .events = POLLIN}};
    if (poll(polled, 2, timeout_ms) < 0)
        return -errno;
    return (polled[0].revents != 0 ? 1 : 0) | (polled[1].revents != 0 ? 2 : 0);
}

int32_t kvm_shim_madvise(int32_t region, uint64_t offset, uint64_t length, int32_t advice)
{
    uint8_t *at = locked_within(region, offset, length);
    if (at == NULL)
        return -EINVAL;
    return result(madvise(at, length, advice));
}

int32_t kvm_shim_memfd(uint64_t length)
{
    int fd = memfd_create("denovisor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (ftruncate(fd, (off_t)length) != 0 ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)) {
        int32_t error = -errno;
        close(fd);
        return error;
    }
    return result(fd);
}

int32_t kvm_shim_userfaultfd(int32_t flags)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return result(syscall(SYS_userfaultfd, flags | O_CLOEXEC));
    int32_t fd = result(ioctl(device, USERFAULTFD_IOC_NEW, flags | O_CLOEXEC));
    close(device);
    return fd;
}

int32_t kvm_shim_eventfd(uint32_t initial, int32_t flags)
{
    return result(eventfd(initial, flags | EFD_CLOEXEC));
}

int32_t kvm_shim_thread_id(void)
{
    return (int32_t)syscall(SYS_gettid);
}

int32_t kvm_shim_kick(int32_t thread_id, int32_t region, uint32_t offset)
{
    if (kick_signal == 0)
        return -ENOSYS;
    pthread_mutex_lock(&regions_lock);
    uint8_t *immediate_exit = within(region, offset, 1);
    if (immediate_exit != NULL)
        __atomic_store_n(immediate_exit, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&regions_lock);
    if (immediate_exit == NULL)
        return -EINVAL;
    return result(syscall(SYS_tgkill, getpid(), thread_id, kick_signal));
}
