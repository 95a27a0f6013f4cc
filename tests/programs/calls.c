/* Known calls: tests/bpf/known.py says how many of which, from where, with what arguments. */
#include <pthread.h>
#include <stdint.h>

#define NOINLINE __attribute__((noinline, noclone))

static volatile long sink;

NOINLINE long leaf(long a, long b)
{
	return 3 * a + b;
}

/* 23 calls each way down. */
NOINLINE long factorial(long n)
{
	return n <= 1 ? 1 : n * factorial(n - 1);
}

NOINLINE int is_odd(unsigned n);

NOINLINE int is_even(unsigned n)
{
	return n == 0 ? 1 : !!is_odd(n - 1) + 0 * sink;
}

NOINLINE int is_odd(unsigned n)
{
	return n == 0 ? 0 : !!is_even(n - 1) + 0 * sink;
}

NOINLINE long six(long a, long b, long c, long d, long e, long f)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
}

NOINLINE long middle(long n)
{
	long sum = 0;

	for (long i = 0; i < 5; i++)
		sum += leaf(n, i);
	return sum;
}

NOINLINE void *worker(void *argument)
{
	long sum = 0;

	for (long i = 0; i < 101; i++)
		sum += middle(i);
	return (void *)(sum + (intptr_t)argument);
}

static int constructed;

__attribute__((constructor)) NOINLINE void before_main(void)
{
	constructed = 1;
}

int main(void)
{
	pthread_t threads[3];
	void *result;

	for (long i = 0; i < 10007; i++)
		sink += leaf(i, 1);
	for (int i = 0; i < 7; i++)
		sink += factorial(23);
	for (int i = 0; i < 5; i++)
		sink += is_even(20);
	for (long i = 0; i < 97; i++)
		sink += six(i, -1, 1L << 40, 4, 5, 6);
	for (long i = 0; i < 3; i++)
		pthread_create(&threads[i], 0, worker, (void *)i);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &result);
		sink += (long)result;
	}
	return constructed ? 3 : 4;
}
