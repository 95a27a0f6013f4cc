/* What probes add to inclusive times: inner does the same work each time, and outer calls it so often. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int iterations;
static volatile unsigned sink;

/* Begins with a `mov`, which a probe has to step over. */
__attribute__((noinline, noipa)) unsigned inner(unsigned seed)
{
	for (int i = iterations; i; i--) {
		__asm__ volatile("" : "+r"(seed));
		seed++;
	}
	return seed;
}

__attribute__((noinline, noipa)) void outer(int calls)
{
	for (int i = 0; i < calls; i++)
		sink = inner(sink);
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int compare(const void *one, const void *other)
{
	long long difference = *(const long long *)one - *(const long long *)other;

	return (difference > 0) - (difference < 0);
}

/* Arguments: iterations of inner, then numbers of its calls. For each of these, ns: the median time of an outer. */
int main(int argc, char **argv)
{
	struct sched_param param = { .sched_priority = 1 };

	iterations = atoi(argv[1]);
	/* Nobody is to run in between; where that is not allowed it only takes more luck. */
	sched_setscheduler(0, SCHED_FIFO, &param);
	for (int i = 2; i < argc; i++) {
		int calls = atoi(argv[i]);
		int rounds = 3 + 500 / calls;
		long long taken[503];

		for (int round = 0; round < rounds; round++) {
			long long begin = now();

			outer(calls);
			taken[round] = now() - begin;
		}
		qsort(taken, rounds, sizeof(*taken), compare);
		printf("%d %lld\n", calls, taken[rounds / 2]);
	}
	return 0;
}
