/*
 * tree SEED THREADS ROOTS JUMPS: each thread makes so many trees of calls, which follow from the seed. The first
 * argument numbers the calls; a call returns its number plus 1. Some calls end in a tail call, with JUMPS some in a
 * longjmp.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>

#define FAR __attribute__((noinline, noclone))
#define PER_THREAD 10000000L

static long seed, roots, jumps;
static __thread unsigned long state;
static __thread long next;
static __thread jmp_buf *mark;
static volatile int sink;

long a(long id, long depth);
long b(long id, long depth);
long c(long id, long depth);
long last(long id, long depth);

static unsigned draw(unsigned below)
{
	state = state * 6364136223846793005UL + 1442695040888963407UL;
	return (state >> 33) % below;
}

static inline __attribute__((always_inline)) void children(long depth)
{
	int count = depth < 7 ? draw(4) : 0;

	for (int i = 0; i < count; i++) {
		switch (draw(4)) {
		case 0:
			a(next++, depth + 1);
			break;
		case 1:
			b(next++, depth + 1);
			break;
		case 2:
			c(next++, depth + 1);
			break;
		default:
			last(next++, depth + 1);
		}
	}
}

FAR long a(long id, long depth)
{
	children(depth);
	if (mark && jumps && !draw(7))
		longjmp(*mark, 1);
	return id + 1;
}

FAR long b(long id, long depth)
{
	char room[200];

	room[draw(200)] = 1;
	sink += room[draw(200) / 200];
	children(depth);
	return id + 1;
}

/* Where a longjmp lands. */
FAR long c(long id, long depth)
{
	jmp_buf here, *outer = mark;

	if (!setjmp(here)) {
		mark = &here;
		children(depth);
	}
	mark = outer;
	children(depth + 1);
	return id + 1;
}

FAR long jumped_to(long id, long depth)
{
	children(depth + 1);
	return id + 1;
}

/* With optimisation it jumps. */
FAR long last(long id, long depth)
{
	if (draw(3))
		children(depth);
	return jumped_to(next++, depth);
}

FAR static void *run(void *number)
{
	state = seed * 1000003UL + (long)number;
	next = PER_THREAD * (long)number;
	for (long i = 0; i < roots; i++)
		switch (draw(3)) {
		case 0:
			b(next++, 0);
			break;
		case 1:
			c(next++, 0);
			break;
		default:
			last(next++, 0);
		}
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[16];
	int count = atoi(argv[2]);

	seed = atol(argv[1]);
	roots = atol(argv[3]);
	jumps = atol(argv[4]);
	for (long i = 0; i < count; i++)
		pthread_create(&threads[i], 0, run, (void *)(i + 1));
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], 0);
	return argc != 5;
}
