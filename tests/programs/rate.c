/*
 * rate THREADS CALLS [wait]: each thread calls hot() so many times, as fast as it can; prints ns per call. It waits
 * for a line first, if it is to.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long calls;

/* Saving rbx makes it begin with `push`, which the kernel emulates rather than single-steps. */
__attribute__((noinline, noclone)) long hot(long i)
{
	__asm__ volatile("" ::: "rbx");
	return i ^ 1;
}

static void *run(void *argument)
{
	long sum = 0;

	for (long i = 0; i < calls; i++)
		sum += hot(i);
	return (void *)(sum + (argument != 0));
}

int main(int argc, char **argv)
{
	int count = atoi(argv[1]);
	pthread_t threads[64];
	struct timespec begin, end;

	calls = atol(argv[2]);
	if (argc > 3) {
		puts("ready");
		fflush(stdout);
		if (getchar() == EOF)
			return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], 0, run, 0);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.1f ns per call\n", ((end.tv_sec - begin.tv_sec) * 1e9 + end.tv_nsec - begin.tv_nsec) / calls);
	return 0;
}
