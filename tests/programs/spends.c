/*
 * spends CALLS PHASES: in each phase one thread calls a function of its own more often than CALLS, and goes on until
 * its calls are ten times as fast as those at the start, while other threads call others, more rarely. Prints how
 * many calls each of these made, and of each phase by how much its calls became faster; 0 if they never did.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FAR __attribute__((noinline, noclone))
#define MOST_PHASES 6
#define STEADIES 8
#define BATCH 512
#define PATIENCE 30.0

static long limit, phases;
static atomic_long phase;
static atomic_int over;

/* Saving rbx makes them begin with `push`, which the kernel emulates rather than single-steps. */
#define HOT(n)                                    \
	FAR long hot##n(long i)                   \
	{                                         \
		__asm__ volatile("" ::: "rbx");   \
		return i + 1;                     \
	}
HOT(0) HOT(1) HOT(2) HOT(3) HOT(4) HOT(5)
static long (*const hot[MOST_PHASES])(long) = { hot0, hot1, hot2, hot3, hot4, hot5 };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static double batch(long n)
{
	double begin = now();

	for (long i = 0; i < BATCH; i++)
		hot[n](i);
	return now() - begin;
}

static void pause_a_little(void)
{
	usleep(20);
}

/* So many that none has spent its budget at the end. */
#define STEADY(n)                                     \
	FAR long inner##n(long i)                     \
	{                                             \
		__asm__ volatile("" ::: "rbx");       \
		return i + 1;                         \
	}                                             \
	FAR long steady##n(long i)                    \
	{                                             \
		__asm__ volatile("" ::: "rbx");       \
		return inner##n(i - 1) + 1;           \
	}
STEADY(0) STEADY(1) STEADY(2) STEADY(3) STEADY(4) STEADY(5) STEADY(6) STEADY(7)
static long (*const steady[STEADIES])(long) = {
	steady0, steady1, steady2, steady3, steady4, steady5, steady6, steady7,
};

/* Is entered in one phase and left in the next. */
FAR long visit(long i)
{
	long begin = phase;

	while (phase == begin && !over)
		pause_a_little();
	return i + 1;
}

/* One call for each phase, inside of that for the one before; all return at the end. */
FAR long climb(long i)
{
	while (phase < i && !over)
		pause_a_little();
	if (i < phases)
		climb(i + 1);
	while (!over)
		pause_a_little();
	return i + 1;
}

/* Its first call goes on while others spend its budget. */
FAR long both(long i)
{
	if (!i)
		while (!over)
			pause_a_little();
	return i + 1;
}

static void *run_steady(void *made)
{
	long calls = 0;

	while (!over && calls < STEADIES * (limit / 2 - 1)) {
		calls++;
		steady[calls % STEADIES](calls);
		pause_a_little();
	}
	*(long *)made = calls;
	return 0;
}

static void *run_visit(void *made)
{
	long calls = 0;

	while (!over)
		visit(++calls);
	*(long *)made = calls;
	return 0;
}

static void *run_climb(void *nothing)
{
	climb(0);
	return nothing;
}

static void *run_both(void *nothing)
{
	both(0);
	return nothing;
}

int main(int argc, char **argv)
{
	pthread_t threads[5];
	long steadies[2], visits;
	double start, traced;

	limit = atol(argv[1]);
	phases = atol(argv[2]);
	pthread_create(&threads[0], 0, run_both, 0);
	pthread_create(&threads[1], 0, run_climb, 0);
	pthread_create(&threads[2], 0, run_visit, &visits);
	pthread_create(&threads[3], 0, run_steady, &steadies[0]);
	pthread_create(&threads[4], 0, run_steady, &steadies[1]);
	start = now();
	for (long i = 1; i <= BATCH; i++)
		both(i);
	traced = now() - start;
	for (long i = BATCH + 1; i <= limit + 10; i++)
		both(i);
	for (; phase < phases; phase++) {
		double begin = now(), taken = batch(phase);

		for (long i = BATCH; i < limit; i += BATCH)
			batch(phase);
		while (taken * 10 > traced && now() - begin < PATIENCE)
			taken = batch(phase);
		printf("faster %.1f\n", taken * 10 > traced ? 0 : traced / taken);
	}
	over = 1;
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], 0);
	printf("calls %ld %ld %ld\n", steadies[0], steadies[1], visits);
	return argc != 3;
}
