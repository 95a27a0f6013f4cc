/* Three coroutines that yield from inside of nested calls, to stacks above and below their own. */
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define COROUTINES 3
#define TURNS 17

static ucontext_t home, contexts[COROUTINES];
static long sums[COROUTINES];
static int alive = COROUTINES;

/* Round robin, so that each pair of neighbours goes up once and down once. */
__attribute__((noipa)) long yield(int self)
{
	swapcontext(&contexts[self], &contexts[(self + 1) % COROUTINES]);
	return self;
}

__attribute__((noipa)) long step(int self, long turn)
{
	long before = turn * 3;

	return before + yield(self);
}

static void body(int self)
{
	for (long turn = 0; turn < TURNS; turn++)
		sums[self] += step(self, turn);
	if (--alive)
		swapcontext(&contexts[self], &contexts[(self + 1) % COROUTINES]);
	setcontext(&home);
}

int main(void)
{
	char *stacks = malloc(COROUTINES << 16);

	for (int i = 0; i < COROUTINES; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = stacks + ((long)i << 16);
		contexts[i].uc_stack.ss_size = 1 << 16;
		makecontext(&contexts[i], (void (*)(void))body, 1, i);
	}
	swapcontext(&home, &contexts[0]);
	printf("%ld %ld %ld\n", sums[0], sums[1], sums[2]);
	return 6;
}
