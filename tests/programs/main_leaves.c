/* main_leaves N: the first thread ends at once; another calls visit() N times, with pauses, and ends the program. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static int calls;

__attribute__((noipa)) int visit(int i)
{
	return i + 1;
}

static void *run(void *unused)
{
	for (int i = 0; i < calls; i++) {
		visit(i);
		usleep(100000);
	}
	exit(9);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	calls = atoi(argv[argc - 1]);
	pthread_create(&thread, NULL, run, NULL);
	pthread_exit(NULL);
}
