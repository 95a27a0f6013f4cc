/* ticks N MICROSECONDS STATUS: calls tick() N times with pauses; prints how far it came, also on SIGINT. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	interrupted = number;
}

__attribute__((noinline)) int tick(int i)
{
	__asm__ volatile("");
	return i + 1;
}

int main(int argc, char **argv)
{
	int n = atoi(argv[1]), pause = atoi(argv[2]), status = atoi(argv[3]), done = 0;

	if (argc > 4)
		signal(SIGINT, on_interrupt);
	puts("ready");
	fflush(stdout);
	while (done < n && !interrupted) {
		done = tick(done);
		if (pause)
			usleep(pause);
	}
	printf("%d ticks, signal %d\n", done, (int)interrupted);
	return status;
}
