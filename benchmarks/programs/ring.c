/*
 * ring THREADS CALLS: waits for a line on stdin; then each thread calls hot() so many times, as fast as it can. Prints
 * the ns that a call took, and the calls of all threads in a second.
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
	double seconds;

	calls = atol(argv[2]);
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], 0, run, 0);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (end.tv_sec - begin.tv_sec) + (end.tv_nsec - begin.tv_nsec) / 1e9;
	printf("%.1f %.0f\n", seconds * 1e9 / calls, count * calls / seconds);
	return 0;
}
