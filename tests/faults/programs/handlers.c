/* A timer interrupts traced functions at any instruction; its handler calls traced functions itself. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#define TICKS 211

static volatile sig_atomic_t ticks;
static volatile long heard;

__attribute__((noipa)) long work(long value)
{
	return value + 2;
}

__attribute__((noipa)) long in_handler(long value)
{
	return value - 1;
}

__attribute__((noipa)) void handler(int number)
{
	if (ticks == TICKS)
		return;
	ticks++;
	heard += in_handler(number);
}

int main(int argc, char **argv)
{
	static char stack[1 << 16];
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = handler };
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
	long sum = 0;

	if (argc > 1 && !strcmp(argv[1], "altstack")) {
		sigaltstack(&other, NULL);
		action.sa_flags = SA_ONSTACK;
	}
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (ticks < TICKS)
		sum = work(sum);
	setitimer(ITIMER_REAL, &never, NULL);
	printf("%d %d %ld\n", (int)ticks, sum % 2 == 0, heard);
	return 2;
}
