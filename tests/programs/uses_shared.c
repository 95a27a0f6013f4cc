/* uses_shared N [fork]: waits for a line on stdin, calls the library N times, prints a checksum. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

long shared_add(long a, long b);

int main(int argc, char **argv)
{
	long sum = 0, calls = atol(argv[1]);
	int status = 0;

	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	for (long i = 0; i < calls; i++)
		sum = shared_add(sum, i);
	if (argc > 2 && !strcmp(argv[2], "fork")) {
		pid_t child = fork();

		if (child == 0) {
			for (long i = 0; i < calls; i++)
				sum = shared_add(sum, i);
			_exit(sum % 251);
		}
		waitpid(child, &status, 0);
	}
	printf("%ld %d\n", sum, status);
	return 0;
}
