/* instrumented CALLS: what prologues.c does, for tools that need the compiler's help (-pg). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

__attribute__((noinline, noclone)) long f(long i)
{
	__asm__ volatile("");
	return i + 1;
}

__attribute__((noinline, noclone)) long g(long i)
{
	__asm__ volatile("" : "+r"(i));
	return i + 1;
}

int main(int argc, char **argv)
{
	long calls = argc > 1 ? atol(argv[1]) : 0, sum = 0;
	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (long call = 0; call < calls; call += 2) {
		sum = f(sum);
		sum = g(sum);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (sum != calls)
		return 1;
	printf("%.1f\n", ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / calls);
	return 0;
}
