/*
 * The peer of bench/pager.ts: the smallest pager in C. A thread that answers every fault by
 * UFFDIO_COPY of zeros, in blocks of a fixed size.
 */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    int uffd, bell;
    uint64_t block_bytes;
    void *zeros;
    pthread_t thread;
} pager;

static void *serve(void *unused)
{
    (void)unused;
    struct pollfd polled[2] = {{.fd = pager.uffd, .events = POLLIN}, {.fd = pager.bell, .events = POLLIN}};
    while (poll(polled, 2, -1) >= 0 || errno == EINTR) {
        if (polled[1].revents != 0)
            break;
        struct uffd_msg messages[32];
        ssize_t bytes = read(pager.uffd, messages, sizeof messages);
        for (ssize_t i = 0; i < bytes / (ssize_t)sizeof messages[0]; i++) {
            uint64_t address = messages[i].arg.pagefault.address;
            struct uffdio_copy copy = {
                .dst = address - address % pager.block_bytes,
                .src = (uint64_t)(uintptr_t)pager.zeros,
                .len = pager.block_bytes,
            };
            if (ioctl(pager.uffd, UFFDIO_COPY, &copy) != 0 && errno != EEXIST)
                abort();
        }
    }
    return NULL;
}

/* Serves `uffd` until `bell`, an eventfd, is written. Returns 0 or an error number. */
int32_t copy_pager_start(int32_t uffd, int32_t bell, uint32_t block_bytes)
{
    pager.uffd = uffd;
    pager.bell = bell;
    pager.block_bytes = block_bytes;
    pager.zeros = mmap(NULL, block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pager.zeros == MAP_FAILED)
        return errno;
    return pthread_create(&pager.thread, NULL, serve, NULL);
}

/* Waits for the thread to leave. */
int32_t copy_pager_join(void)
{
    int32_t error = pthread_join(pager.thread, NULL);
    munmap(pager.zeros, pager.block_bytes);
    return error;
}
