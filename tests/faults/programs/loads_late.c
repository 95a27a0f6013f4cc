/*
 * loads_late LIBRARY COUNTS: threads call step() all the time. Meanwhile a C++ library is loaded that throws through
 * this program's frames, as soon as no return address is replaced any more. How often each thread has called
 * step(), and main() relay() until then, goes to the file COUNTS, one line for each.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 3

static atomic_int begun, over;

__attribute__((noipa)) long step(long i)
{
	return i ^ 1;
}

/* An indirect jump that may lead anywhere: of this one only entries can be seen without return probes. */
__attribute__((noipa, naked)) long leap(long i)
{
	__asm__("mov %rdi, %rax\n\tlea 1f(%rip), %rcx\n\txor %rdx, %rdx\n\tadd %rdx, %rcx\n\tjmp *%rcx\n1:\tret");
}

__attribute__((noipa)) long work(void)
{
	long calls = 0;

	begun++;
	for (int after = 0; after < 101; after += over) {
		step(calls);
		leap(calls++);
	}
	return calls;
}

static void *run(void *unused)
{
	return (void *)work();
}

static void *returns_to;

__attribute__((noipa)) long relay(long (*callback)(long), long value)
{
	returns_to = __builtin_return_address(0);
	return callback(value) + 1;
}

static long same(long value)
{
	return value;
}

extern char __executable_start, etext;

/* Whether the kernel has replaced relay()'s return address. */
static int is_hijacked(void)
{
	relay(same, 0);
	return (char *)returns_to < &__executable_start || (char *)returns_to > &etext;
}

int main(int argc, char **argv)
{
	void *(*load)(const char *, int) = dlsym(RTLD_DEFAULT, "dlopen");
	long (*catch_through)(long (*)(long (*)(long), long), long);
	FILE *counts = fopen(argv[2], "w");
	pthread_t threads[THREADS];
	long sum = 0, relays = 0;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	while (begun < THREADS)
		usleep(1000);
	catch_through = dlsym(load(argv[1], RTLD_NOW), "catch_through");
	while (relays++, is_hijacked())
		usleep(1000);
	/* What is left so shortly after the exchange may have lost its exit to it. */
	usleep(100000);
	for (long i = 0; i < 23; i++)
		sum += catch_through(relay, i);
	over = 1;
	for (int i = 0; i < THREADS; i++) {
		void *calls;

		pthread_join(threads[i], &calls);
		fprintf(counts, "%ld\n", (long)calls);
	}
	fprintf(counts, "%ld\n", relays);
	fclose(counts);
	printf("%ld\n", sum);
	return 10;
}
