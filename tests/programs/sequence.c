/* sequence N STATUS: waits for a line on stdin, then calls step(0), step(1) … step(N - 1); prints their sum. */
#include <stdio.h>
#include <stdlib.h>

/* Saving rbx makes it begin with `push`, which the kernel emulates rather than single-steps. */
__attribute__((noinline, noclone)) long step(long i)
{
	__asm__ volatile("" ::: "rbx");
	return i + 1;
}

int main(int argc, char **argv)
{
	long n = atol(argv[1]), sum = 0;

	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	for (long i = 0; i < n; i++)
		sum += step(i);
	printf("%ld\n", sum);
	return atoi(argv[2]);
}
