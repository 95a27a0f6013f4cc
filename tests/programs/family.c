/* family CHILDREN [exec]: forks children, each of which forks one more; each process calls visit() a number
 * of times that is its own. With exec, children execute this program as `family leaf N`. One of the
 * processes calls from a second thread, too. Prints nothing; the exit status is 7. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline, noclone)) long visit(long generation, long i)
{
	__asm__ volatile("");
	return generation * 1000 + i;
}

static long calls;

static void *also(void *argument)
{
	for (long i = 0; i < calls; i++)
		visit((long)argument, i);
	return 0;
}

static void spawn(char *program, int with_exec, int generation, int children)
{
	for (int child = 0; child < children; child++) {
		pid_t pid = fork();

		if (pid == 0) {
			char count[16];

			snprintf(count, sizeof(count), "%d", 10 * generation + child);
			if (with_exec)
				execl(program, "family", "leaf", count, (char *)0);
			for (int i = 0; i < 10 * generation + child; i++)
				visit(generation, i);
			if (generation < 2)
				spawn(program, with_exec, generation + 1, 1);
			exit(0);
		}
	}
	while (wait(0) > 0)
		;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (!strcmp(argv[1], "leaf")) {
		for (int i = 0; i < atoi(argv[2]); i++)
			visit(9, i);
		return 0;
	}
	calls = 23;
	pthread_create(&thread, 0, also, (void *)0L);
	pthread_join(thread, 0);
	spawn(argv[0], argc > 2, 1, atoi(argv[1]));
	return 7;
}
