/*
 * comes_again PID: children that all have the id PID one after the other, in this pid namespace, call visit()
 * 11, 13 and 17 times, and end inside of leave(). Then threads do, with the id PID + 1, 3, 5 and 7 times.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int wanted;

/* The next process or thread gets the id after `last`, unless something else begins in between. */
static void set_last_pid(int last)
{
	char text[16];
	int file = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

	if (write(file, text, snprintf(text, sizeof(text), "%d", last)) < 1)
		abort();
	close(file);
}

__attribute__((noipa)) int visit(int i)
{
	return i + 1;
}

__attribute__((noipa)) void leave(int status)
{
	_exit(status);
}

__attribute__((noipa)) int child(int calls)
{
	int status, pid;

	do {
		set_last_pid(wanted - 1);
		pid = fork();
		if (!pid && getpid() == wanted) {
			for (int i = 0; i < calls; i++)
				visit(i);
			leave(0);
		}
		if (!pid)
			_exit(1);
		waitpid(pid, &status, 0);
	} while (status);
	return pid;
}

static void *thread(void *calls)
{
	if (syscall(SYS_gettid) != wanted)
		return calls;
	for (int i = 0; i < *(int *)calls; i++)
		visit(i);
	return NULL;
}

static void thread_calls(int calls)
{
	void *failed;

	do {
		pthread_t id;

		set_last_pid(wanted - 1);
		pthread_create(&id, NULL, thread, &calls);
		pthread_join(id, &failed);
		/* The id is free when the kernel is through with the thread, which is a little later. */
		while (!failed && syscall(SYS_tgkill, getpid(), wanted, 0) == 0)
			usleep(1000);
	} while (failed);
}

int main(int argc, char **argv)
{
	wanted = atoi(argv[1]);
	child(11);
	child(13);
	child(17);
	wanted++;
	thread_calls(3);
	thread_calls(5);
	thread_calls(7);
	puts("done");
	return argc != 2;
}
