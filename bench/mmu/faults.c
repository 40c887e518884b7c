/*
 * The C twin of the direct engine in src/mmu: the same steps in the same order on the same data. It
 * walks from the root each time, as the specification of the path does; ours also remembers the last
 * tables that it walked to. Prints nanoseconds of CPU time per fault, those of the fastest round: what
 * else runs on the machine only adds.
 *
 * usage: faults map4k|map2m|spurious|mmio|log
 */
#include "faults.h"

#define MMIO_VALUE (KIND | 1ull << 51 | P)

static int emulate(struct mmu *m, uint64_t address) { (void)m, (void)address; return 0; }

static inline int leaf(uint64_t spte, int level) { return level == 1 || spte & LARGE; }

static void zap(struct mmu *m, uint32_t t) {
    struct table *x = &m->tables[t];
    int level = x->role & 15;
    for (int i = 0; i < 512; i++) {
        uint64_t spte = m->words[t * 512ull + i];
        if (present(spte) && !leaf(spte, level)) zap(m, pfn_of(spte));
        else if (spte) {
            if (present(spte) && spte & LARGE) m->stats[LPAGES]--;
            m->words[t * 512ull + i] = 0, m->changes++;
        }
    }
    m->stats[ZAPPED]++;
    if (x->parent) *x->parent = 0;
    if (t == m->root) return;
    m->tables[x->prev].next = x->next, m->tables[x->next].prev = x->prev;
    x->next = m->free, m->free = t, m->free_count++, m->used--;
}

static __attribute__((noinline)) int fast_path(struct mmu *m, struct fault *f) {
    if (f->reserved || (f->fetch && f->present) || !(f->write && f->present)) return INVALID;
    if (obsolete(m, m->root)) return INVALID;
    for (int tries = 0; tries < 5; tries++) {
        int level = m->root_level;
        uint64_t *p = &m->words[m->root * 512ull + index_of(f->address, level)], old = *p;
        while (present(old) && !leaf(old, level)) {
            level--;
            p = &m->words[pfn_of(old) * 512 + index_of(f->address, level)], old = *p;
        }
        if (!present(old)) return INVALID;
        if (f->fetch ? old & P && !(old >> 63) : f->write ? old & W : old & P) { f->cause = ALREADY_ALLOWED; return SPURIOUS; }
        uint64_t new = old;
        if (f->write && (old & (HOST_W | MMU_W)) == (HOST_W | MMU_W)) {
            if (level > 1) return INVALID;
            new |= W;
        }
        if (new == old) return INVALID;
        if (__atomic_compare_exchange_n(p, &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            m->changes++;
            if (f->slot) mark_dirty(f->slot, f->gfn);
            f->cause = GAINED;
            return FIXED;
        }
    }
    return INVALID;
}

static __attribute__((noinline)) int map(struct mmu *m, struct fault *f) {
    int goal = decide_level(m, f), at = m->root_level;
    uint32_t table = m->root;
    uint64_t *p;
    for (;;) {
        p = &m->words[table * 512ull + index_of(f->address, at)];
        uint64_t spte = *p;
        int is = present(spte), large = at > 1 && spte & LARGE;
        if (at == goal) {
            if (!(at > 1 && is && !large && m->tables[pfn_of(spte)].flags & NX_SPLIT)) break;
            goal--;
        }
        if (is && !large) table = pfn_of(spte);
        else {
            if (is) *p = 0, m->stats[FLUSH]++;
            uint32_t child = take_table(m, block(f->gfn, at), (m->tables[table].role & ~15u) | (at - 1), 0);
            m->tables[child].parent = p;
            m->tables[table].children++;
            *p = (uint64_t)child << 12 | P | W | U | A;
            table = child;
        }
        at--;
    }
    f->goal = goal;
    uint64_t old = *p, spte;
    if (!f->has_page) {
        spte = MMIO_VALUE | f->gfn << 12 | 6 | (f->slots_generation & 511) << 3 | (f->slots_generation >> 9 & 511) << 54;
        *p = spte, m->changes++, m->stats[PF_FIXED]++, f->cause = GAINED;
        return EMULATE;
    }
    uint64_t mask = frames_at(goal) - 1, pfn = f->pfn & ~mask, gfn = f->gfn & ~mask;
    int mapped = present(old);
    if (mapped && goal > 1 && !(old & LARGE)) zap(m, pfn_of(old)), mapped = 0, m->stats[FLUSH]++;
    else if (mapped && pfn_of(old) != pfn) *p = 0, mapped = 0, m->stats[FLUSH]++;
    old = *p;
    struct slot *s = f->slot;
    spte = P | A | U | pfn << 12;
    if (goal > 1 && m->nx) spte |= 1ull << 63;
    if (goal > 1) spte |= LARGE;
    int protected = 0;
    if (f->map_writable) {
        spte |= HOST_W;
        if (!(mapped && old & W) && goal == 1 && s->tracked && s->tracked[gfn - s->base]) protected = 1;
        else {
            spte |= MMU_W;
            if (!s->dirty || f->write) { spte |= W | D; if (f->write) mark_dirty(s, gfn); }
        }
    }
    int result = FIXED;
    f->cause = GAINED;
    if (mapped && old == spte) result = SPURIOUS, f->cause = ALREADY_ALLOWED;
    else if (old != spte) { __atomic_store_n(p, spte, __ATOMIC_RELEASE); m->changes++; }
    if (protected && f->write) result = EMULATE;
    if (!mapped && goal > 1) m->stats[LPAGES]++;
    if (result != SPURIOUS) m->stats[PF_FIXED]++;
    return result;
}

static __attribute__((noinline)) int direct_fault(struct mmu *m, struct fault *f) {
    f->tdp = 1, f->gfn = f->address >> 12, f->max_level = 3;
    struct slot *s = f->slot = find_slot(m, f->gfn);
    f->slots_generation = m->slots_generation;
    if (s && f->present && f->write && !f->reserved && s->tracked && s->tracked[f->gfn - s->base]) return EMULATE;
    int fast = fast_path(m, f);
    if (fast != INVALID) return fast;
    if (m->hooks) abort();
    if (m->free_count < 8) return NO_MEMORY;
    f->sequence = m->sequence;
    if (!s) {
        if (!m->updating) m->mmio_gfn = f->gfn, m->mmio_generation = m->slots_generation;
    } else {
        int found = fault_in(m, f);
        if (found != CONTINUE) return found;
    }
    int result;
    if (s && stale(m, f)) f->cause = NOTIFIER, result = RETRY;
    else if (obsolete(m, m->root)) f->cause = ROOT_INVALID, result = RETRY;
    else if (m->quota - m->used < 5) result = NO_SPACE;
    else result = map(m, f);
    if (f->has_page) m->put_page(m, f->pfn);
    return result;
}

static __attribute__((noinline)) int page_fault(struct mmu *m, uint64_t address, uint32_t code) {
    struct fault *f = &m->fault;
    if (!m->root) return 0;
    begin(f, address, code);
    if (m->trace) abort();
    if (address >> m->address_bits || address >> 48) return -14;
    int result = INVALID;
    if (f->reserved && m->mmio_gfn && address >> 12 == m->mmio_gfn && m->mmio_generation == m->slots_generation && !m->updating)
        result = EMULATE;
    if (result == INVALID) result = direct_fault(m, f);
    if (result != EMULATE) return exit_of(m, f, result);
    m->stats[EMULATION]++;
    int exit = m->emulate(m, address);
    if (!exit) m->stats[MMIO_EXITS]++;
    return exit;
}

static struct mmu *make(int level, uint64_t frames, int log) {
    struct mmu *m = make_mmu(calloc(1, sizeof *m), frames / 512 + frames / 512 / 512 + 64, frames, level);
    m->emulate = emulate, m->address_bits = 48, m->quota = 1 << 17;
    if (log) m->slots[0]->dirty = calloc(frames / 32 + 1, 4);
    m->root = take_table(m, 0, 4, 0);
    if (page_fault(m, 0x80fee01000, WRITE | USER) != 0) abort();
    return m;
}

static void must(int exit, int expected) {
    if (exit != expected) fprintf(stderr, "faults: exit %d, expected %d\n", exit, expected), exit > 0 ? abort() : _Exit(1);
}

static void map_all(struct mmu *m, uint64_t pages, uint64_t bytes) {
    for (uint64_t i = 0; i < pages; i++) must(page_fault(m, i * bytes, WRITE | USER), 1);
}

static const uint64_t pages = 1 << 18, blocks = 1 << 17, warm = 4096, many = 1000000;

static void protect_all(struct mmu *m) {
    for (uint64_t t = 1; t < pages / 512 + 64; t++)
        if ((m->tables[t].role & 15) == 1 && m->tables[t].parent)
            for (int i = 0; i < 512; i++) m->words[t * 512 + i] &= ~(uint64_t)W;
    memset(m->slots[0]->dirty, 0, pages / 8);
}

static void write_again(struct mmu *m, uint64_t count, uint64_t span) {
    for (uint64_t i = 0; i < count; i++) must(page_fault(m, (i & (span - 1)) << 12, PRESENT | WRITE | USER), 1);
}

int main(int argc, char **argv) {
    const char *kind = argc > 1 ? argv[1] : "";
    int is_4k = !strcmp(kind, "map4k"), is_2m = !strcmp(kind, "map2m"), is_log = !strcmp(kind, "log");
    int is_mmio = !strcmp(kind, "mmio"), is_spurious = !strcmp(kind, "spurious");
    if (is_4k + is_2m + is_log + is_mmio + is_spurious != 1) return 2;
    uint64_t frames = is_2m ? blocks * 512 : is_4k || is_log ? pages : warm;
    struct mmu *m = make(is_2m ? 2 : 1, frames, is_log);
    if (!is_2m) map_all(m, frames, 4096);
    double best = 1e9;
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t count = is_4k || is_log ? pages : is_2m ? blocks : many;
        if (is_log) protect_all(m);
        else if (is_4k || is_2m) zap(m, m->root);
        double start = now();
        if (is_4k) map_all(m, pages, 4096);
        else if (is_2m) map_all(m, blocks, 2 << 20);
        else if (is_log) write_again(m, pages, pages);
        else if (is_spurious) write_again(m, many, warm);
        else for (uint64_t i = 0; i < many; i++) must(page_fault(m, 0x80fee01000, RSVD | PRESENT | WRITE | USER), 0);
        double time = (now() - start) / count;
        if (time < best) best = time;
    }
    printf("%.2f\n", best);
    return 0;
}
