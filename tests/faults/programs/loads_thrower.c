/* loads_thrower LIBRARY: plain C, until a C++ library is loaded that throws through this program's frames. */
#include <dlfcn.h>
#include <stdio.h>

__attribute__((noipa)) long relay(long (*callback)(long), long value)
{
	return callback(value) + 1;
}

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	long (*catch_through)(long (*)(long (*)(long), long), long) = NULL;
	long sum = 0;

	if (library)
		*(void **)&catch_through = dlsym(library, "catch_through");
	if (!catch_through)
		return 1;
	for (long i = 0; i < 23; i++)
		sum += catch_through(relay, i);
	printf("%ld\n", sum);
	return 10;
}
