/*
 * prologues KIND CALLS: calls KIND_f and KIND_g so many times in all, in turn; prints ns per call.
 *
 * What a probe costs depends on the instruction that the function begins with: that is why they are written in
 * assembly. Each takes an argument and returns it plus one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUNCTION(name, body)                                            \
	__asm__(".text\n.globl " #name "\n.type " #name ", @function\n" \
		".p2align 4\n" #name ":\n" body ".size " #name ", . - " #name "\n"); \
	long name(long)

#define KIND(kind, body)            \
	FUNCTION(kind##_f, body);   \
	FUNCTION(kind##_g, body)

KIND(push, "push %rbx\n lea 1(%rdi), %rax\n pop %rbx\n ret\n");
KIND(nop, "nop\n lea 1(%rdi), %rax\n ret\n");
KIND(endbr64, "endbr64\n push %rbx\n lea 1(%rdi), %rax\n pop %rbx\n ret\n");
KIND(mov, "mov %rdi, %rax\n sub $8, %rsp\n add $1, %rax\n add $8, %rsp\n ret\n");

static const struct {
	const char *name;
	long (*f)(long), (*g)(long);
} kinds[] = {
	{ "push", push_f, push_g },
	{ "nop", nop_f, nop_g },
	{ "endbr64", endbr64_f, endbr64_g },
	{ "mov", mov_f, mov_g },
};

int main(int argc, char **argv)
{
	long calls = argc > 2 ? atol(argv[2]) : 0, sum = 0;
	struct timespec begin, end;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (argc < 2 || strcmp(argv[1], kinds[i].name))
			continue;
		clock_gettime(CLOCK_MONOTONIC, &begin);
		for (long call = 0; call < calls; call += 2) {
			sum = kinds[i].f(sum);
			sum = kinds[i].g(sum);
		}
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (sum != calls)
			return 1;
		printf("%.1f\n", ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / calls);
		return 0;
	}
	return 2;
}
