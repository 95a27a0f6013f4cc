/* rounds THREADS CALLS: for each line on stdin, each thread calls outer() so often, which calls inner().
 *
 * Arguments tell what is missing: thread << 40 | how many calls of outer() this one has made before.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static long calls;
static pthread_barrier_t begin, end;

__attribute__((noinline, noclone)) long inner(long number)
{
	__asm__ volatile("" ::: "rbx");
	return number ^ 1;
}

__attribute__((noinline, noclone)) long outer(long number)
{
	return inner(number) ^ 2;
}

static void *run(void *argument)
{
	long number = (long)argument << 40;

	for (;;) {
		pthread_barrier_wait(&begin);
		for (long i = 0; i < calls; i++)
			outer(number++);
		pthread_barrier_wait(&end);
	}
	return 0;
}

int main(int argc, char **argv)
{
	long threads = atol(argv[1]);
	pthread_t thread;

	calls = atol(argv[2]);
	pthread_barrier_init(&begin, 0, threads + 1);
	pthread_barrier_init(&end, 0, threads + 1);
	for (long i = 0; i < threads; i++)
		pthread_create(&thread, 0, run, (void *)i);
	for (puts("ready"), fflush(stdout); getchar() != EOF; puts("done"), fflush(stdout)) {
		pthread_barrier_wait(&begin);
		pthread_barrier_wait(&end);
	}
	return 0;
}
