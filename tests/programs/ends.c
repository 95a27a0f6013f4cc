/*
 * ends THREADS: so many threads, one after the other, each of which is in a call of deep() that goes `depth` deep; every
 * other one ends there. `ends dive DEPTH` only goes so deep, in the first thread.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FAR __attribute__((noinline, noclone))

FAR long deep(long depth, long ends)
{
	if (depth == 1) {
		if (ends)
			pthread_exit(0);
		return 1;
	}
	return deep(depth - 1, ends) * 3 + depth;
}

FAR void *run(void *number)
{
	deep(3 + (long)number % 97, (long)number & 1);
	return 0;
}

int main(int argc, char **argv)
{
	int count = atoi(argv[1]);
	pthread_attr_t large;
	pthread_t thread;

	if (!strcmp(argv[1], "dive"))
		return deep(atol(argv[2]), 0) == 0;
	pthread_attr_init(&large);
	pthread_attr_setstacksize(&large, 1 << 20);
	for (long i = 0; i < count; i++) {
		pthread_create(&thread, &large, run, (void *)i);
		pthread_join(thread, 0);
	}
	return 0;
}
