/* Emulate CPUID and the approximate instructions of programs that patch.py has changed. Load it by LD_PRELOAD.
 *
 * patch.py replaces one byte of each instruction by an opcode that is invalid in 64-bit mode, or by a breakpoint (CC),
 * which traps four times as fast in virtual machines. The other bytes tell which instruction it was:
 *
 *     CPUID                  0F A2                       06 A2
 *     RSQRTPS, RCPPS         0F 52|53 ...                CC 52|53 ...
 *     with prefixes, scalar  [F3] [REX] 0F 52|53 ...     [F3] [REX] 06 52|53 ...
 *     VEX forms              C5 .. 52|53 ...             0E .. 52|53 ..., or CC .. 52|53 ... if packed
 *                            C4 .. .. 52|53 ...          16 .. .. 52|53 ...
 *
 * The processor then raises SIGILL or SIGTRAP. The handler, which takes no lock, decodes the instruction, works on the
 * saved registers and returns behind it.
 *
 *     OTHERCPU_PROFILE  folder that profiles.py has written; without it, CPUID tells the truth
 *     OTHERCPU_APPROX   "native": approximate instructions give the bits of the real processor. Otherwise the exact
 *                       value, rounded to 12 bits of significand: an error of at most 2^-12, of 1.5 * 2^-12 permitted
 *
 * Leaf 0xd of CPUID (sizes of saved registers) and those of hypervisors stay real.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <immintrin.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

/* Declare `real`, the function of libc that the one of the same name here hides. */
#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static const char *profile;

/* ---- CPUID ---- */

#define ANY 0xffffffffu
#define LEAVES 128
#define SYSCONFS 32
static struct { uint32_t leaf, sub, registers[4]; } leaves[LEAVES];
static struct { int name; long value; } sysconfs[SYSCONFS];
static int n_leaves, n_sysconfs;

static void real_cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4]) {
    __cpuid_count(leaf, sub, r[0], r[1], r[2], r[3]);
}

/* Put the number of the current logical processor into the registers of a leaf that tells it. */
static void number_processor(uint32_t leaf, uint32_t sub, uint32_t r[4]) {
    uint32_t one[4];
    real_cpuid(1, 0, one);
    uint32_t id = one[1] >> 24;
    if (leaf == 1) {
        r[1] = (r[1] & 0xffffff) | id << 24;
    } else if (leaf == 0x8000001e) {
        r[0] = id;
        r[1] = (r[1] & ~0xffu) | id;
    } else if (leaf == 0xb || leaf == 0x1f) {
        r[2] = (r[2] & ~0xffu) | (sub & 0xff);
        r[3] = id;
    }
}

static void fake_cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4]) {
    if (!profile || leaf == 0xd || leaf >> 16 == 0x4000) {
        real_cpuid(leaf, sub, r);
        return;
    }
    memset(r, 0, 16);
    for (int i = 0; i < n_leaves; i++) {
        if (leaves[i].leaf == leaf && (leaves[i].sub == sub || leaves[i].sub == ANY)) {
            memcpy(r, leaves[i].registers, 16);
            break;
        }
    }
    number_processor(leaf, sub, r);
}

/* Read lines "leaf subleaf|* eax ebx ecx edx", in hexadecimal, and "sysconf NAME VALUE", in decimal. */
static void read_profile(void) {
    char path[512], line[256], sub[16];
    snprintf(path, sizeof path, "%s/cpuid", profile);
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "othercpu: cannot read %s\n", path);
        _exit(99);
    }
    while (fgets(line, sizeof line, file) && n_leaves < LEAVES && n_sysconfs < SYSCONFS) {
        uint32_t *leaf = &leaves[n_leaves].leaf, *r = leaves[n_leaves].registers;
        if (sscanf(line, "sysconf %d %ld", &sysconfs[n_sysconfs].name, &sysconfs[n_sysconfs].value) == 2) {
            n_sysconfs++;
        } else if (sscanf(line, "%x %15s %x %x %x %x", leaf, sub, &r[0], &r[1], &r[2], &r[3]) == 6) {
            leaves[n_leaves].sub = *sub == '*' ? ANY : (uint32_t)strtoul(sub, NULL, 16);
            n_leaves++;
        }
    }
    fclose(file);
}

/* ---- approximate instructions ---- */

static int native;  /* whether they give the bits of the real processor */

static float approximate(float x, int reciprocal) {
    float real = _mm_cvtss_f32(reciprocal ? _mm_rcp_ss(_mm_set_ss(x)) : _mm_rsqrt_ss(_mm_set_ss(x)));
    if (native || !isnormal(real)) return real;  /* zeros, infinities and NaN are the same on every processor */
    union { double value; uint64_t bits; } exact = {reciprocal ? 1.0 / x : 1.0 / sqrt(x)};
    exact.bits = (exact.bits + (1ull << 40)) & ~((1ull << 41) - 1);  /* 11 bits behind the leading one */
    return exact.value;
}

/* Registers of the interrupted thread, in the format of XSAVE; `present` has a bit for each part. */
struct frame { uint8_t *area; uint64_t *present; };
enum { SSE = 3, AVX = 4, AVX512 = 0x40 };
static uint32_t zmm_offset;

static float *xmm(struct frame f, int i) { return (float *)(f.area + 160 + 16 * i); }
static float *ymm_high(struct frame f, int i) { return (float *)(f.area + 576 + 16 * i); }
static float *zmm_high(struct frame f, int i) { return (float *)(f.area + zmm_offset + 32 * i); }

/* An instruction; r, x and b extend numbers of registers, `other` is the register whose upper part is copied. */
struct instruction { int vex, scalar, lanes, reciprocal, r, x, b, other; };

static int is_approximate(uint8_t opcode) { return opcode == 0x52 || opcode == 0x53; }

/* Decode prefixes and opcode at `p`. Return what follows, or NULL if this is no approximate instruction. */
static const uint8_t *decode(const uint8_t *p, struct instruction *i) {
    int wide = 0, prefix = 0;  /* 0: packed, 2: scalar */
    uint8_t first = *p == 0xcc && !is_approximate(p[1]) ? 0x0e : *p;
    if (first == 0x0e || first == 0x16) {
        i->vex = 1;
        i->r = !(p[1] & 0x80);
        if (first == 0x16) {
            if ((p[1] & 31) != 1) return NULL;
            i->x = !(p[1] & 0x40);
            i->b = !(p[1] & 0x20);
            p++;
        }
        i->other = ~p[1] >> 3 & 15;
        wide = p[1] >> 2 & 1;
        prefix = p[1] & 3;
        p += 2;
    } else {
        if (*p == 0xf3) prefix = 2, p++;
        if ((*p & 0xf0) == 0x40) {
            i->r = *p >> 2 & 1;
            i->x = *p >> 1 & 1;
            i->b = *p & 1;
            p++;
        }
        if (*p != 0x06 && *p != 0xcc) return NULL;
        p++;
    }
    if (!is_approximate(*p) || prefix & 1) return NULL;
    i->scalar = prefix == 2;
    i->lanes = i->scalar ? 1 : wide ? 8 : 4;
    i->reciprocal = *p == 0x53;
    return p + 1;
}

/* Compute the address of an operand in memory, whose ModRM byte is at `*p`, and move `*p` behind it. */
static const void *address(const uint8_t **p, const struct instruction *i, gregset_t g) {
    static const int numbers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    int mod = **p >> 6, base = **p & 7, far = mod == 2, relative = mod == 0 && base == 5;
    uint64_t result = 0;
    int32_t displacement = 0;
    (*p)++;
    if (base == 4) {  /* a SIB byte follows */
        int scale = **p >> 6, index = (**p >> 3 & 7) | i->x << 3;
        base = **p & 7;
        (*p)++;
        if (index != 4) result = (uint64_t)g[numbers[index]] << scale;
    }
    if (mod == 0 && base == 5) far = 1;  /* a displacement instead of a register */
    else result += g[numbers[base | i->b << 3]];
    if (far) memcpy(&displacement, *p, 4);
    else if (mod == 1) displacement = (int8_t)**p;
    *p += far ? 4 : mod == 1;
    return (const void *)(result + displacement + (relative ? (uint64_t)*p : 0));
}

/* Emulate the approximate instruction at `start` and return its length, or 0 if it is none. */
static int emulate_approximate(const uint8_t *start, gregset_t g, struct frame f) {
    struct instruction i = {0};
    const uint8_t *p = decode(start, &i);
    if (!p) return 0;
    float in[8] = {0}, out[8];
    int target = (*p >> 3 & 7) | i.r << 3;
    if (*p >> 6 == 3) {
        int source = (*p++ & 7) | i.b << 3;
        memcpy(in, xmm(f, source), 16);
        if (*f.present & AVX) memcpy(in + 4, ymm_high(f, source), 16);
    } else {
        memcpy(in, address(&p, &i, g), 4 * i.lanes);
    }
    for (int lane = 0; lane < i.lanes; lane++) out[lane] = approximate(in[lane], i.reciprocal);
    if (i.scalar && i.vex) memmove(xmm(f, target) + 1, xmm(f, i.other) + 1, 12);
    memcpy(xmm(f, target), out, i.scalar ? 4 : 16);
    *f.present |= SSE;
    if (i.vex) {  /* clears the rest of the register */
        if (!(*f.present & AVX)) memset(ymm_high(f, 0), 0, 256);
        *f.present |= AVX;
        if (i.lanes == 8) memcpy(ymm_high(f, target), out + 4, 16);
        else memset(ymm_high(f, target), 0, 16);
        if (*f.present & AVX512 && zmm_offset) memset(zmm_high(f, target), 0, 32);
    }
    return (int)(p - start);
}

/* Emulate the patched instruction at `start` and return its length, or 0 if there is none. */
static int emulate(const uint8_t *start, gregset_t g, struct frame f) {
    if (start[0] != 0x06 || start[1] != 0xa2) return emulate_approximate(start, g, f);
    uint32_t r[4];
    fake_cpuid(g[REG_RAX], g[REG_RCX], r);
    g[REG_RAX] = r[0], g[REG_RBX] = r[1], g[REG_RCX] = r[2], g[REG_RDX] = r[3];
    return 2;
}

/* ---- signals ---- */

static int (*libc_sigaction)(int, const struct sigaction *, struct sigaction *);
static struct sigaction theirs[2];  /* what the program wants for SIGILL and SIGTRAP */

static int is_ours(int number) { return number == SIGILL || number == SIGTRAP; }

static void remove_ours(sigset_t *set) {
    sigdelset(set, SIGILL);
    sigdelset(set, SIGTRAP);
}

static void pass_on(int number, siginfo_t *info, void *context) {
    struct sigaction *their = &theirs[number == SIGTRAP], die = {.sa_handler = SIG_DFL};
    if (their->sa_flags & SA_SIGINFO) {
        their->sa_sigaction(number, info, context);
    } else if (their->sa_handler != SIG_DFL && their->sa_handler != SIG_IGN) {
        their->sa_handler(number);
    } else if (their->sa_handler == SIG_DFL || number == SIGILL) {
        libc_sigaction(number, &die, NULL);
        raise(number);
    }
}

static void handle(int number, siginfo_t *info, void *context) {
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
    greg_t *g = m->gregs;
    const uint8_t *p = (const uint8_t *)g[REG_RIP] - (number == SIGTRAP);  /* which is raised behind the byte */
    struct frame f = {(uint8_t *)m->fpregs, (uint64_t *)((uint8_t *)m->fpregs + 512)};
    int by_instruction = info->si_code > 0 && (number == SIGILL || *p == 0xcc);  /* not by kill */
    int length = by_instruction ? emulate(p, g, f) : 0;
    if (length) g[REG_RIP] = (greg_t)(p + length);
    else pass_on(number, info, context);
}

int sigaction(int number, const struct sigaction *new, struct sigaction *old) {
    if (!libc_sigaction) libc_sigaction = dlsym(RTLD_NEXT, "sigaction");
    struct sigaction copy = is_ours(number) ? theirs[number == SIGTRAP] : (struct sigaction){0};
    if (is_ours(number)) {
        if (new) theirs[number == SIGTRAP] = *new;
        if (old) *old = copy;
        return 0;
    }
    if (new) {
        copy = *new;
        remove_ours(&copy.sa_mask);
    }
    return libc_sigaction(number, new ? &copy : NULL, old);
}

/* Our signals would kill if they were blocked. */
#define MASK(name) \
    int name(int how, const sigset_t *set, sigset_t *old) { \
        REAL(name); \
        sigset_t copy; \
        if (set) copy = *set; \
        if (set && how != SIG_UNBLOCK) remove_ours(&copy); \
        return real(how, set ? &copy : NULL, old); \
    }
MASK(sigprocmask)
MASK(pthread_sigmask)

/* ---- other ways to learn about the processor ---- */

long sysconf(int name) {
    REAL(sysconf);
    for (int i = 0; i < n_sysconfs; i++)
        if (sysconfs[i].name == name) return sysconfs[i].value;
    return real(name);
}

/* Return `path`, or the file of the profile that replaces it, in `buffer`. */
static const char *redirect(const char *path, char buffer[512]) {
    int cpu, end = 0;
    if (!profile || !path) return path;
    if (!strcmp(path, "/proc/cpuinfo")) snprintf(buffer, 512, "%s/cpuinfo", profile);
    else if (sscanf(path, "/sys/devices/system/cpu/cpu%d/cache%n", &cpu, &end) == 1 && end)
        snprintf(buffer, 512, "%s/cache%s", profile, path + end);
    else return path;
    return buffer;
}

#define OPEN(name, parameters, arguments) \
    int name parameters { \
        static int (*real) parameters; \
        if (!real) real = (int (*) parameters)dlsym(RTLD_NEXT, #name); \
        char buffer[512]; \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return real arguments; \
    }
OPEN(open, (const char *path, int flags, ...), (redirect(path, buffer), flags, mode))
OPEN(open64, (const char *path, int flags, ...), (redirect(path, buffer), flags, mode))

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        char buffer[512]; \
        return real(redirect(path, buffer), mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

__attribute__((constructor)) static void start(void) {
    const char *approximations = getenv("OTHERCPU_APPROX");
    native = approximations && !strcmp(approximations, "native");
    uint32_t r[4];
    real_cpuid(0xd, 6, r);
    zmm_offset = r[1];
    struct sigaction ours = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (!libc_sigaction) libc_sigaction = dlsym(RTLD_NEXT, "sigaction");
    libc_sigaction(SIGILL, &ours, NULL);
    libc_sigaction(SIGTRAP, &ours, NULL);
    profile = getenv("OTHERCPU_PROFILE");
    if (profile) read_profile();
}
