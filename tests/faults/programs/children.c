/* children HOW: processes that this one makes, which call what it calls, or run another program. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

__attribute__((noipa)) long work(long value)
{
	return value * 7 + 1;
}

__attribute__((noipa)) long work_often(long times)
{
	long sum = 0;

	for (long i = 0; i < times; i++)
		sum += work(i);
	return sum;
}

__attribute__((noipa)) pid_t fork_and_work(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(work_often(97) % 251);
	return child;
}

__attribute__((noipa)) pid_t fork_and_execute(char **command)
{
	pid_t child = fork();

	if (child == 0) {
		work_often(11);
		execv(command[0], command);
		_exit(111);
	}
	return child;
}

__attribute__((noipa)) pid_t vfork_and_execute(char **command)
{
	pid_t child = vfork();

	if (child == 0) {
		execv(command[0], command);
		_exit(111);
	}
	return child;
}

int main(int argc, char **argv)
{
	char *command[] = { argv[0], "grandchild", NULL };
	long sum = 0;

	if (argc > 1 && !strcmp(argv[1], "grandchild"))
		return work_often(13) % 251;
	for (int i = 0; i < 5; i++) {
		pid_t child = -1;
		int status = 0;

		sum += work_often(23);
		if (!strcmp(argv[1], "fork"))
			child = fork_and_work();
		else if (!strcmp(argv[1], "exec"))
			child = fork_and_execute(command);
		else if (!strcmp(argv[1], "vfork"))
			child = vfork_and_execute(command);
		else if (posix_spawn(&child, argv[0], NULL, NULL, command, environ))
			return 1;
		if (waitpid(child, &status, 0) != child)
			return 1;
		printf("%ld child %#x\n", sum, status);
		fflush(stdout);
	}
	return 3;
}
