/*
 * Floating point as this CPU does it: `oracle OPERATION < records > results`.
 *
 * A record is 48 bytes: the control word or MXCSR (4 bytes), 12 bytes of nothing, the operands a
 * and b (16 bytes each). A result is 48 bytes: two values (16 bytes each), the status word or
 * MXCSR, RFLAGS, whether an unmasked SSE exception arrived, and nothing (4 bytes each).
 * Memory destinations are filled with 0xcc first, so that what is not stored shows.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

typedef uint8_t value[16];
struct record { uint32_t control, unused[3]; value a, b; };
struct answer { value r, s; uint32_t status, rflags, trapped, unused; };
typedef void operation(const struct record *in, struct answer *out);

static const uint16_t default_cw = 0x37f;
static const uint32_t default_mxcsr = 0x1f80;
static sigjmp_buf after_trap;
static uint32_t trapped_mxcsr;

static void on_sigfpe(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info;
	trapped_mxcsr = ((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr;
	siglongjmp(after_trap, 1);
}

/* The operation with a in ST(0) and, when LOAD_B is there, b in ST(1); no instruction here waits. */
#define LOAD_B "fldt %[b]\n\t"
#define X87(name, load_b, load_a, instruction) \
static void name(const struct record *in, struct answer *out) \
{ \
	uint16_t cw = in->control, sw; \
	uint64_t rflags; \
	__asm__ volatile( \
		"fninit\n\t" load_b load_a "fldcw %[cw]\n\t" instruction "\n\t" \
		"pushfq\n\tpopq %[rflags]\n\t" \
		"fnstsw %[sw]\n\tfnclex\n\tfldcw %[default_cw]\n\t" \
		"fstpt %[r]\n\tfstpt %[s]\n\tfnclex" \
		: [r] "+m"(out->r), [s] "+m"(out->s), [sw] "=m"(sw), [rflags] "=&r"(rflags) \
		: [a] "m"(in->a), [b] "m"(in->b), [cw] "m"(cw), [default_cw] "m"(default_cw) \
		: "cc", "memory"); \
	out->status = sw; \
	out->rflags = (uint32_t)rflags; \
}
#define UNARY(name, instruction) X87(name, "", "fldt %[a]\n\t", instruction)
#define BINARY(name, instruction) X87(name, LOAD_B, "fldt %[a]\n\t", instruction)
/* The operation loads from memory, or has no operand at all. */
#define LOAD(name, instruction) X87(name, "", "", instruction)

UNARY(fsqrt, "fsqrt") UNARY(frndint, "frndint") UNARY(fxtract, "fxtract") UNARY(fxam, "fxam")
UNARY(fsin, "fsin") UNARY(fcos, "fcos") UNARY(fsincos, "fsincos") UNARY(fptan, "fptan")
UNARY(f2xm1, "f2xm1") UNARY(ftst, "ftst")
BINARY(fadd, "fadd %%st(1), %%st") BINARY(fsub, "fsub %%st(1), %%st")
BINARY(fmul, "fmul %%st(1), %%st") BINARY(fdiv, "fdiv %%st(1), %%st")
BINARY(fprem, "fprem") BINARY(fprem1, "fprem1") BINARY(fscale, "fscale")
BINARY(fpatan, "fpatan") BINARY(fyl2x, "fyl2x") BINARY(fyl2xp1, "fyl2xp1")
BINARY(fcom, "fcom %%st(1)") BINARY(fucom, "fucom %%st(1)")
BINARY(fcomi, "fcomi %%st(1), %%st") BINARY(fucomi, "fucomi %%st(1), %%st")
UNARY(fadd32, "fadds %[b]") UNARY(fadd64, "faddl %[b]") UNARY(fmul32, "fmuls %[b]")
UNARY(fdiv64, "fdivl %[b]") UNARY(fdivr64, "fdivrl %[b]") UNARY(fcom64, "fcoml %[b]")
LOAD(fld32, "flds %[a]") LOAD(fld64, "fldl %[a]")
LOAD(fild16, "filds %[a]") LOAD(fild32, "fildl %[a]") LOAD(fild64, "fildll %[a]")
LOAD(fbld, "fbld %[a]")
LOAD(fld1, "fld1") LOAD(fldl2t, "fldl2t") LOAD(fldl2e, "fldl2e") LOAD(fldpi, "fldpi")
LOAD(fldlg2, "fldlg2") LOAD(fldln2, "fldln2") LOAD(fldz, "fldz")

/* The operation stores ST(0) to memory; whether it popped does not show. */
#define STORE(name, instruction) \
static void name(const struct record *in, struct answer *out) \
{ \
	uint16_t cw = in->control, sw; \
	memset(out->r, 0xcc, sizeof(value)); \
	__asm__ volatile( \
		"fninit\n\tfldt %[a]\n\tfldcw %[cw]\n\t" instruction "\n\t" \
		"fnstsw %[sw]\n\tfnclex\n\tfninit" \
		: [r] "+m"(out->r), [sw] "=m"(sw) \
		: [a] "m"(in->a), [cw] "m"(cw) : "cc", "memory"); \
	out->status = sw; \
}
STORE(fst32, "fsts %[r]") STORE(fst64, "fstl %[r]") STORE(fbstp, "fbstp %[r]")
STORE(fist16, "fists %[r]") STORE(fist32, "fistl %[r]") STORE(fist64, "fistpll %[r]")
STORE(fisttp16, "fisttps %[r]") STORE(fisttp32, "fisttpl %[r]") STORE(fisttp64, "fisttpll %[r]")

/* The operation with a in XMM0 (and its result) and b in XMM1, integers from RAX to RAX. */
#define SSE(name, instruction) \
static void name(const struct record *in, struct answer *out) \
{ \
	uint32_t mxcsr = in->control, after; \
	uint64_t rflags = 0, rax; \
	memcpy(&rax, in->a, 8); \
	if (sigsetjmp(after_trap, 0) != 0) { \
		__asm__ volatile("ldmxcsr %0" :: "m"(default_mxcsr)); \
		out->status = trapped_mxcsr; \
		out->trapped = 1; \
		return; \
	} \
	__asm__ volatile( \
		"movdqu %[a], %%xmm0\n\tmovdqu %[b], %%xmm1\n\tldmxcsr %[mxcsr]\n\t" \
		instruction "\n\t" \
		"pushfq\n\tpopq %[rflags]\n\tstmxcsr %[after]\n\tldmxcsr %[default_mxcsr]\n\t" \
		"movdqu %%xmm0, %[r]\n\tmovq %%rax, %[s]" \
		: [r] "=m"(out->r), [s] "=m"(out->s), [after] "=m"(after), [rflags] "=&r"(rflags), \
		  "+a"(rax) \
		: [a] "m"(in->a), [b] "m"(in->b), [mxcsr] "m"(mxcsr), \
		  [default_mxcsr] "m"(default_mxcsr) \
		: "cc", "memory", "xmm0", "xmm1"); \
	out->status = after; \
	out->rflags = (uint32_t)rflags; \
}
#define SCALAR(name) \
	SSE(name##ss, #name "ss %%xmm1, %%xmm0") SSE(name##sd, #name "sd %%xmm1, %%xmm0")
#define IMMEDIATE(name, imm) \
	SSE(name##ss##imm, #name "ss $" #imm ", %%xmm1, %%xmm0") \
	SSE(name##sd##imm, #name "sd $" #imm ", %%xmm1, %%xmm0")
#define EIGHT(DO, name) DO(name, 0) DO(name, 1) DO(name, 2) DO(name, 3) \
	DO(name, 4) DO(name, 5) DO(name, 6) DO(name, 7)

SCALAR(add) SCALAR(sub) SCALAR(mul) SCALAR(div) SCALAR(min) SCALAR(max)
SSE(sqrtss, "sqrtss %%xmm0, %%xmm0") SSE(sqrtsd, "sqrtsd %%xmm0, %%xmm0")
SSE(comiss, "comiss %%xmm1, %%xmm0") SSE(comisd, "comisd %%xmm1, %%xmm0")
SSE(ucomiss, "ucomiss %%xmm1, %%xmm0") SSE(ucomisd, "ucomisd %%xmm1, %%xmm0")
EIGHT(IMMEDIATE, cmp)
#define ROUND(name, imm) \
	SSE(round##ss##imm, "roundss $" #imm ", %%xmm0, %%xmm0") \
	SSE(round##sd##imm, "roundsd $" #imm ", %%xmm0, %%xmm0")
EIGHT(ROUND, round) ROUND(round, 8) ROUND(round, 9) ROUND(round, 10) ROUND(round, 11)
ROUND(round, 12)
SSE(cvtss2sd, "cvtss2sd %%xmm0, %%xmm0") SSE(cvtsd2ss, "cvtsd2ss %%xmm0, %%xmm0")
SSE(cvtss2si32, "cvtss2si %%xmm0, %%eax") SSE(cvtss2si64, "cvtss2si %%xmm0, %%rax")
SSE(cvtsd2si32, "cvtsd2si %%xmm0, %%eax") SSE(cvtsd2si64, "cvtsd2si %%xmm0, %%rax")
SSE(cvttss2si32, "cvttss2si %%xmm0, %%eax") SSE(cvttss2si64, "cvttss2si %%xmm0, %%rax")
SSE(cvttsd2si32, "cvttsd2si %%xmm0, %%eax") SSE(cvttsd2si64, "cvttsd2si %%xmm0, %%rax")
SSE(cvtsi2ss32, "cvtsi2ss %%eax, %%xmm0") SSE(cvtsi2ss64, "cvtsi2ss %%rax, %%xmm0")
SSE(cvtsi2sd32, "cvtsi2sd %%eax, %%xmm0") SSE(cvtsi2sd64, "cvtsi2sd %%rax, %%xmm0")

#define NAMED(name) { #name, name },
#define NAMED_PAIR(name) NAMED(name##ss) NAMED(name##sd)
#define NAMED_IMM(name, imm) NAMED(name##ss##imm) NAMED(name##sd##imm)
static const struct { const char *name; operation *run; } operations[] = {
	NAMED(fsqrt) NAMED(frndint) NAMED(fxtract) NAMED(fxam) NAMED(fsin) NAMED(fcos)
	NAMED(fsincos) NAMED(fptan) NAMED(f2xm1) NAMED(ftst) NAMED(fadd) NAMED(fsub) NAMED(fmul)
	NAMED(fdiv) NAMED(fprem) NAMED(fprem1) NAMED(fscale) NAMED(fpatan) NAMED(fyl2x)
	NAMED(fyl2xp1) NAMED(fcom) NAMED(fucom) NAMED(fcomi) NAMED(fucomi) NAMED(fadd32)
	NAMED(fadd64) NAMED(fmul32) NAMED(fdiv64) NAMED(fdivr64) NAMED(fcom64) NAMED(fld32)
	NAMED(fld64) NAMED(fild16) NAMED(fild32) NAMED(fild64) NAMED(fbld) NAMED(fld1)
	NAMED(fldl2t) NAMED(fldl2e) NAMED(fldpi) NAMED(fldlg2) NAMED(fldln2) NAMED(fldz)
	NAMED(fst32) NAMED(fst64) NAMED(fbstp) NAMED(fist16) NAMED(fist32) NAMED(fist64)
	NAMED(fisttp16) NAMED(fisttp32) NAMED(fisttp64)
	NAMED_PAIR(add) NAMED_PAIR(sub) NAMED_PAIR(mul) NAMED_PAIR(div) NAMED_PAIR(min)
	NAMED_PAIR(max) NAMED_PAIR(sqrt) NAMED_PAIR(comi) NAMED_PAIR(ucomi)
	EIGHT(NAMED_IMM, cmp) EIGHT(NAMED_IMM, round) NAMED_IMM(round, 8) NAMED_IMM(round, 9)
	NAMED_IMM(round, 10) NAMED_IMM(round, 11) NAMED_IMM(round, 12)
	NAMED(cvtss2sd) NAMED(cvtsd2ss)
	NAMED(cvtss2si32) NAMED(cvtss2si64) NAMED(cvtsd2si32) NAMED(cvtsd2si64)
	NAMED(cvttss2si32) NAMED(cvttss2si64) NAMED(cvttsd2si32) NAMED(cvttsd2si64)
	NAMED(cvtsi2ss32) NAMED(cvtsi2ss64) NAMED(cvtsi2sd32) NAMED(cvtsi2sd64)
};

static operation *find(const char *name)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (strcmp(operations[i].name, name) == 0)
			return operations[i].run;
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_NODEFER };
	action.sa_sigaction = on_sigfpe;
	sigaction(SIGFPE, &action, NULL);
	operation *run = argc == 2 ? find(argv[1]) : NULL;
	if (run == NULL) {
		fprintf(stderr, "Cannot answer: expected one known operation\n");
		return 2;
	}
	struct record in;
	while (fread(&in, sizeof(in), 1, stdin) == 1) {
		struct answer out;
		memset(&out, 0, sizeof(out));
		run(&in, &out);
		if (fwrite(&out, sizeof(out), 1, stdout) != 1)
			return 1;
	}
	return 0;
}
