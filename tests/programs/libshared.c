/* A library that several processes map; `shared_call` calls back, so that a caller can throw through it. */
#include <unistd.h>

__attribute__((noinline)) long shared_add(long a, long b)
{
	return a + b;
}

__attribute__((noinline)) long shared_call(long (*callback)(long), long value)
{
	return callback(value) + 1;
}
