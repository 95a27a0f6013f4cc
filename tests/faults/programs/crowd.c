/* crowd N HOW: processes that each call step() a few times; HOW is
 * at-once     N children, all alive while each of them makes 10 calls
 * in-turn     N children, one after the other, each makes 10 calls
 * chain       each of N processes makes a call, forks the next, waits for it, and makes another call
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline, noclone)) long step(long i)
{
	__asm__ volatile("" ::: "rbx");
	return i + 1;
}

static void calls(long n)
{
	for (long i = 0; i < n; i++)
		step(i);
}

static void wait_for_end_of(int *pipe)
{
	char byte;

	close(pipe[1]);
	while (read(pipe[0], &byte, 1) > 0)
		;
}

static void at_once(int n)
{
	int begin[2], done[2], end[2];
	char byte = 0;

	if (pipe(begin) || pipe(done) || pipe(end))
		exit(1);
	for (int i = 0; i < n; i++)
		if (fork() == 0) {
			close(end[1]);
			wait_for_end_of(begin);
			calls(10);
			if (write(done[1], &byte, 1) != 1)
				exit(1);
			wait_for_end_of(end);
			exit(0);
		}
	close(begin[1]);
	for (int i = 0; i < n; i++)
		if (read(done[0], &byte, 1) != 1)
			exit(1);
	close(end[1]);
}

static void chain(int n)
{
	step(n);
	if (n > 1 && fork() == 0) {
		chain(n - 1);
		exit(0);
	}
	wait(0);
	step(n);
}

int main(int argc, char **argv)
{
	int n = atoi(argv[1]);

	calls(1);
	if (!strcmp(argv[2], "at-once"))
		at_once(n);
	else if (!strcmp(argv[2], "in-turn"))
		for (int i = 0; i < n; i++) {
			if (fork() == 0) {
				calls(10);
				exit(0);
			}
			wait(0);
		}
	else
		chain(n);
	while (wait(0) > 0)
		;
	puts("done");
	return 7;
}
