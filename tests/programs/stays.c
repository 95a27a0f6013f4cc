/* stays MILLISECONDS: inside of stay(), calls step() and the C library's labs() all the time, for so long. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Saving rbx makes it begin with `push`, which the kernel emulates rather than single-steps. */
__attribute__((noinline, noclone)) long step(long i)
{
	__asm__ volatile("" ::: "rbx");
	return i ^ 1;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((noinline, noclone)) long stay(long milliseconds)
{
	long sum = 0, end = now_ms() + milliseconds;

	while (now_ms() < end)
		for (long i = 0; i < 100; i++)
			sum += step(i) + labs(i);
	return sum;
}

int main(int argc, char **argv)
{
	puts("ready");
	fflush(stdout);
	return stay(atol(argv[1])) == 0;
}
