/* 100 threads at once, each of which works 101 times. */
#include <pthread.h>
#include <stdio.h>

#define THREADS 100

static pthread_barrier_t together;

__attribute__((noipa)) long work(long value)
{
	return value ^ 0x55;
}

__attribute__((noipa)) long work_often(long seed)
{
	long sum = 0;

	for (long i = 0; i < 101; i++)
		sum += work(seed + i);
	return sum;
}

static void *begin(void *seed)
{
	pthread_barrier_wait(&together);
	return (void *)work_often((long)seed);
}

int main(void)
{
	pthread_t threads[THREADS];
	long sum = 0;

	pthread_barrier_init(&together, NULL, THREADS);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, begin, (void *)i))
			return 1;
	for (long i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		sum += (long)result;
	}
	printf("%ld\n", sum);
	return 4;
}
