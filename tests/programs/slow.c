/*
 * slow CALLS: calls work(i) so many times, some of which sleep for 3 ms; and all of it inside of outer(). Prints for each
 * call how many ns it took at least, seen from inside, and at most, seen from outside. Then a thread goes on in
 * stuck() until it is killed, and main in last().
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FAR __attribute__((noinline, noclone))

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

FAR long work(long i, long *least)
{
	long begin = now();

	if (i % 7 == 3)
		usleep(3000);
	*least = now() - begin;
	return i + 1;
}

FAR long outer(long i, long *least, long *most)
{
	long begin = now();

	work(i, least);
	*most = now() - begin;
	return i + 2;
}

FAR void *stuck(void *argument)
{
	pause();
	return argument;
}

FAR void last(void)
{
	puts("done");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	long calls = atol(argv[1]), least, most;
	pthread_t thread;

	if (argc > 2)
		pthread_create(&thread, 0, stuck, 0);
	for (long i = 0; i < calls; i++) {
		outer(i, &least, &most);
		printf("%ld %ld %ld\n", i, least, most);
	}
	if (argc > 2)
		last();
	return 0;
}
