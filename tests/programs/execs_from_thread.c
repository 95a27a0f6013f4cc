/* A second thread executes this program again, which then calls step() and usleep() 60 times. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static char *program;

__attribute__((noinline, noclone)) void step(void)
{
	__asm__ volatile("");
}

static void *execute(void *argument)
{
	execl(program, program, "again", (char *)0);
	return argument;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	program = argv[0];
	step();
	if (argc > 1 && !strcmp(argv[1], "start")) {
		usleep(1000);
		pthread_create(&thread, 0, execute, 0);
		pause();
	}
	for (int i = 0; i < 59; i++) {
		step();
		usleep(20000);
	}
	return 0;
}
