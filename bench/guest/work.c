/*
 * Workloads that run in the guest and hardly need its kernel: `work NAME` prints a checksum. Each
 * takes QEMU's TCG a second or so: it is its own code that is timed, not the start of its process.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t seed = 88172645463325252u;

static uint64_t next(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

static uint64_t integer_loop(void) {
  uint64_t a = 1, b = 2;
  for (uint32_t i = 0; i < 500000000; i++) {
    a = a * 5 + (b >> 3);
    b ^= a + i;
  }
  return a ^ b;
}

static uint64_t crc32(void) {
  static uint32_t table[256];
  static uint8_t data[1 << 20];
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    table[i] = c;
  }
  for (size_t i = 0; i < sizeof data; i++) data[i] = next();
  uint32_t crc = ~0u;
  for (int round = 0; round < 128; round++)
    for (size_t i = 0; i < sizeof data; i++) crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
  return ~crc;
}

static void sort(int32_t *low, int32_t *high) {
  while (low < high) {
    int32_t pivot = low[(high - low) / 2], *i = low, *j = high;
    while (i <= j) {
      while (*i < pivot) i++;
      while (*j > pivot) j--;
      if (i <= j) {
        int32_t t = *i;
        *i++ = *j;
        *j-- = t;
      }
    }
    sort(low, j);
    low = i;
  }
}

static uint64_t quicksort(void) {
  enum { N = 1000000 };
  static int32_t numbers[N];
  uint64_t medians = 0;
  for (int round = 0; round < 5; round++) {
    for (int i = 0; i < N; i++) numbers[i] = next();
    sort(numbers, numbers + N - 1);
    medians += (uint32_t)numbers[N / 2];
  }
  return medians;
}

static uint64_t matmul(void) {
  enum { N = 320 };
  static double a[N][N], b[N][N], c[N][N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) a[i][j] = i + j, b[i][j] = i - j;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      double sum = 0;
      for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
      c[i][j] = sum;
    }
  return (int64_t)c[N / 2][N / 3];
}

/* A machine of four registers: counts down r0, mixing the others. */
static uint64_t bytecode(void) {
  enum { ADD, XOR, SHIFT, DEC, LOOP, END };
  static const uint8_t program[] = {ADD, 1, 2, XOR, 2, 3, SHIFT, 3, 1, ADD, 3, 2, DEC, 0, 0, LOOP, 0, 0, END};
  uint64_t r[4] = {8000000, 1, 2, 3};
  const uint8_t *pc = program;
  for (;;) {
    switch (pc[0]) {
      case ADD: r[pc[1]] += r[pc[2]]; break;
      case XOR: r[pc[1]] ^= r[pc[2]]; break;
      case SHIFT: r[pc[1]] += r[pc[2]] >> 7; break;
      case DEC: r[pc[1]]--; break;
      case LOOP:
        if (r[pc[1]] != 0) {
          pc = program;
          continue;
        }
        break;
      default: return r[1] ^ r[2] ^ r[3];
    }
    pc += 3;
  }
}

static uint64_t fork_exec(void) {
  uint64_t ended = 0;
  for (int i = 0; i < 100; i++) {
    int status;
    pid_t child = fork();
    if (child == 0) {
      execl("/bin/work", "work", "nothing", (char *)0);
      _exit(1);
    }
    waitpid(child, &status, 0);
    ended += WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  return ended;
}

static uint64_t nothing(void) {
  return 0;
}

static const struct {
  const char *name;
  uint64_t (*run)(void);
} works[] = {
  {"loop", integer_loop}, {"crc32", crc32},       {"quicksort", quicksort}, {"matmul", matmul},
  {"bytecode", bytecode}, {"fork", fork_exec}, {"nothing", nothing},
};

int main(int argc, char **argv) {
  for (size_t i = 0; argc == 2 && i < sizeof works / sizeof *works; i++) {
    if (strcmp(argv[1], works[i].name) != 0) continue;
    uint64_t result = works[i].run();
    if (works[i].run != nothing) printf("%llx\n", (unsigned long long)result);
    return 0;
  }
  return 1;
}
